"""What two databases say, row by row, where both must say the same."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
_NOT_COMPARED = "…"

Tables = dict[str, list[dict[str, Any]]]
Said = dict[str, Counter[str]]


def read(url: str) -> Tables:
    """Every table's rows as column -> value; a text that holds a JSON object or array is given as that."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        return {
            table: [
                {column: _parsed(value) for column, value in row.items()}
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(t) FROM {} AS t").format(sql.Identifier(table))
                )
            ]
            for (table,) in connection.execute(_TABLES).fetchall()
        }


def change(url: str, statement: LiteralString) -> None:
    """Change them."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        connection.execute(statement)


def said(tables: Tables, names: Mapping[str, str], anew: Collection[str]) -> Said:
    """Each table's rows, without their order.

    `names` maps generated ids to what they stand for. `anew` lists places (`outbox.body.time`) whose value differs
    from run to run: of these only counts whether there is one.
    """
    return {
        table: Counter(_named(json.dumps(_without(row, table, anew), sort_keys=True), names) for row in rows)
        for table, rows in tables.items()
    }


def differences(one: Said, other: Said) -> list[str]:
    """One line for each row that is in one and not in the other, or not as often."""
    return [
        f"{table}: {number} {which} of {row}"
        for table in sorted(one.keys() | other.keys())
        for which, found in (
            ("too few", one.get(table, Counter()) - other.get(table, Counter())),
            ("too many", other.get(table, Counter()) - one.get(table, Counter())),
        )
        for row, number in sorted(found.items())
    ] + [f"{table}: not in both" for table in sorted(one.keys() ^ other.keys())]


def _parsed(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value


def _without(value: object, place: str, anew: Collection[str]) -> object:
    if place in anew:
        return value and _NOT_COMPARED
    if isinstance(value, dict):
        return {key: _without(inner, f"{place}.{key}", anew) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, place, anew) for inner in value]
    return value


def _named(text: str, names: Mapping[str, str]) -> str:
    for generated, name in names.items():
        text = text.replace(generated, name)
    return text
