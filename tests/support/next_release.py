"""The next release, as far as the present one can tell: `python -m tests.support.next_release run …` is `relais run …`.

Every event says one thing more at its top (`release`), as does each need of a visit and each proposal inside it; sites
and partners may send it, too; reporting's visits have one column more, made by one migration more. Production code
knows nothing of it.
"""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE = "tests.support.next_release"
NEXT = "next"
_MIGRATION = '''"""Which release counted a visit."""

import sqlalchemy as sa
from alembic import op

revision = "{revision:04}"
down_revision = "{revision_before:04}"


def upgrade() -> None:
    """Add a column that may stay empty."""
    op.add_column("visits", sa.Column("release", sa.Text))
'''


def _say_more(module: ModuleType, *names: str, **inner: Any) -> None:  # noqa: ANN401 - any annotation
    """Put classes with an optional field more in the place of these of a module, before anybody imports them."""
    from pydantic import create_model  # noqa: PLC0415 - after the standard library was made cooperative

    for name in names:
        before = getattr(module, name)
        fields = {field: kind for field, kind in inner.items() if field in before.model_fields}
        more = create_model(
            name, __base__=before, __module__=module.__name__, release=(str | None, NEXT), **fields
        )  # fmt: skip
        setattr(module, name, more)


def _change_contracts() -> None:
    from services.contracts import intake, orientation, referral  # noqa: PLC0415 - as above

    _say_more(intake, "NeedFacts")
    _say_more(intake, "VisitRecorded", needs=(tuple[intake.NeedFacts, ...], ...))
    _say_more(orientation, "Proposal")
    _say_more(orientation, "OrientationProposed", proposals=(tuple[orientation.Proposal, ...], ...))
    _say_more(referral, "ReferralSent", "PartnerReferralSent", *(event.__name__ for event in referral.MOVED))
    changed = {event: getattr(referral, event.__name__) for event in referral.MOVED}
    referral.MOVED = tuple(changed.values())
    referral.EVENT_INTO = {state: changed[event] for state, event in referral.EVENT_INTO.items()}
    referral.SEEN_BY_PARTNERS = {changed[event]: view for event, view in referral.SEEN_BY_PARTNERS.items()}
    from services.referral import forms  # noqa: PLC0415 - finds the changed classes

    _say_more(forms, "AnswerForm")


def _change_reporting() -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above
    from sqlalchemy import Column, Text  # noqa: PLC0415 - as above

    from services.chassis import migrate  # noqa: PLC0415 - as above
    from services.chassis.app import Work  # noqa: PLC0415 - as above
    from services.reporting import tables  # noqa: PLC0415 - as above

    config_of, insert = migrate.config_of, Work.insert
    present = config_of("reporting")
    head = int(ScriptDirectory.from_config(present).get_current_head() or 0)
    folder = Path(os.environ["RELAIS_STATE"]) / "next-migrations"
    folder.mkdir(exist_ok=True)
    (folder / f"{head + 1:04}_next.py").write_text(_MIGRATION.format(revision=head + 1, revision_before=head))

    def config_with_one_more(service: str) -> Any:  # noqa: ANN401 - Alembic's
        config = config_of(service)
        if service == "reporting":
            places = config.get_main_option("version_locations")
            config.set_main_option("version_locations", f"{places}\n{folder}")
        return config

    def insert_one_more(self: Work, table: Any, **values: Any) -> None:  # noqa: ANN401 - as it comes
        insert(self, table, **values, **({"release": NEXT} if table is tables.visits else {}))

    tables.visits.append_column(Column("release", Text))
    migrate.config_of = config_with_one_more
    Work.insert = insert_one_more  # type: ignore[method-assign]


def _main() -> None:
    from services.chassis import green  # noqa: F401, PLC0415 - makes the standard library cooperative: not for a test

    _change_contracts()
    if "reporting" in sys.argv:
        _change_reporting()
    from services.__main__ import main  # noqa: PLC0415 - finds the changed classes

    main()


if __name__ == "__main__":
    _main()
