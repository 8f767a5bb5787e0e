"""Who is logged in to its pages."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Only adds."""
