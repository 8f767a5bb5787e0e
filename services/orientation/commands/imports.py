"""What the imports of lists and of snapshots share: the database, the file's date, and telling rows with reasons."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from services.chassis import commands
from services.chassis.clock import Clock
from services.chassis.migrate import migrate
from services.contracts.paris import paris_day

Everything = Annotated[bool, typer.Option("--all", help="Name every row, not the first 20 of each kind.")]
DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHOWN = 20


@contextmanager
def opened() -> Iterator[Connection]:
    """Orientation's database, migrated, in one transaction; exit 2 when there is none."""
    with commands.open_databases(["orientation"], "sites") as databases:
        migrate(databases["orientation"], "orientation")
        with databases["orientation"].begin() as connection:
            yield connection


def day_of(text: str | None) -> date:
    """The date of a file, of its name or of `--of`; exit 2 when there is none, or one to come."""
    if text is None:
        raise commands.fail("--of: the file’s name has no date; give the list’s, AAAA-MM-JJ", 2)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise commands.fail(f"--of: {text} is no date AAAA-MM-JJ", 2) from None
    if day > today():
        raise commands.fail(f"--of: {day} is still to come", 2)
    return day


def today() -> date:
    """Today, in Paris."""
    return paris_day(Clock().now())


def tell_rows(what: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, everything: bool) -> None:
    """Print a table of rows, or of the first of them; nothing when there are none."""
    if not rows:
        return
    table = Table(*columns, title=f"rows {what}", title_justify="left")
    for each in rows if everything else rows[:_SHOWN]:
        table.add_row(*(escape(printable(text)) for text in each))
    commands.out.print(table)
    if len(rows) > _SHOWN and not everything:
        typer.echo(f"… and {len(rows) - _SHOWN} more: --all or --json")


def counted(number: int, one: str) -> str:
    """A number of things whose plural ends in s: `1 row`, `2 rows`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """What a stranger wrote moves no cursor and rings no bell."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
