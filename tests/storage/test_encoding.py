"""A database that cannot hold every character is refused before anything is written to it."""

import uuid

import psycopg
import pytest
from psycopg import sql

from storage.db import DatabaseUnavailable, check_connection, open_database


@pytest.fixture
def ascii_url(postgres):
    """A database as initdb makes it where no locale is set."""
    name = f"ascii_{uuid.uuid4().hex}"
    admin = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(
            sql.SQL("create database {} encoding 'SQL_ASCII' locale 'C' template template0").format(
                sql.Identifier(name)
            )
        )
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def test_a_database_that_is_not_utf8_is_refused_with_what_to_do(ascii_url):
    with pytest.raises(DatabaseUnavailable, match=r"encoding SQL_ASCII .*createdb --encoding=UTF8"):
        async with open_database(ascii_url):
            pass


async def test_a_utf8_database_is_accepted(database_url):
    await check_connection(database_url)
