"""Looks for words in a whole database, as someone with a dump of it would."""

import base64

from psycopg import sql

COLUMNS = """
select c.table_schema, c.table_name, c.column_name, c.data_type
from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
where t.table_type = 'BASE TABLE' and c.table_schema not in ('pg_catalog', 'information_schema')
order by 1, 2, c.ordinal_position"""


def _says(value, words):
    """Whether a cell holds the words: as text, or as bytes in any encoding that our serialisers use."""
    if isinstance(value, str):
        return words in value.lower()
    raw = bytes(value).lower()
    encoded = base64.b64encode(words.encode())[:-4].lower()
    return any(form in raw for form in (words.encode(), words.encode("utf-16-le"), encoded))


async def places(database, words):
    """Every ``table.column`` of every schema that holds the words, with how many rows do."""
    found = {}
    async with database.connection() as conn:
        for schema, table, column, kind in await (await conn.execute(COLUMNS)).fetchall():
            shown = sql.SQL("{}" if kind == "bytea" else "{}::text").format(sql.Identifier(column))
            query = sql.SQL("select {} from {} where {} is not null").format(
                shown, sql.Identifier(schema, table), sql.Identifier(column)
            )
            rows = await (await conn.execute(query)).fetchall()
            count = sum(_says(value, words.lower()) for (value,) in rows)
            if count:
                found[f"{table}.{column}"] = count
    return found
