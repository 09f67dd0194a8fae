"""The pool gives out working connections only, without asking the server each time."""


async def test_connections_that_the_server_ended_are_not_given_out(database):
    async with database.connection() as one, database.connection() as other:
        pids = [await pid(one), await pid(other)]
    async with database.connection() as conn:
        survivor = await pid(conn)
        await conn.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    given = []
    for _ in range(4):
        async with database.connection() as conn:
            given.append(await pid(conn))
    assert set(pids) - {survivor}
    assert not set(given) & (set(pids) - {survivor})


async def pid(conn):
    return (await (await conn.execute("select pg_backend_pid()")).fetchone())[0]
