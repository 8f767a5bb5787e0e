"""The service directory: structures and services as data·inclusion has them."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Only adds."""
