"""What a database holds, table by table, for tests that look for what must not be there."""

import psycopg
from psycopg import sql

_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"


def dump(url: str) -> dict[str, str]:
    """Every row of every table as text; binary columns as hexadecimal."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        tables = [row[0] for row in connection.execute(_TABLES)]
        return {
            table: "\n".join(
                row[0]
                for row in connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(table)))
            )
            for table in tables
        }
