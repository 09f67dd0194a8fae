"""What an operator sees of what waits."""

import json

from pydantic import SecretStr

from ratchet.approvals import run_approvals
from ratchet.sections import DatabaseSettings
from ratchet.settings import Settings

ROW = """
with turn as (
    insert into turns (turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question, status)
    values ('00000000-0000-0000-0000-000000000001', 'T1', 'C1', '1.000001', '1.000001', 'U1', 'mention', 'q', 'waiting')
    returning turn_id)
insert into approvals (approval_id, turn_id, tool_call_id, revision, team_id, channel_id, ts, tool, arguments, bound,
                       digest, call_digest, summary, requester_id, approvers, self_approval, part, expires_at)
select 'a1', turn_id, 'c1', 0, 'T1', 'C1', '1.000001', 'drop', '{}', '{}', 'd', 'd', 'drop [red]it[/red]\x1b[31m', 'U1',
       '{U2}', false, 1099, now() + interval '90 seconds' from turn"""


async def test_what_waits_is_listed_as_a_table_and_as_json(database, database_url, memory, capsys):
    settings = Settings(database=DatabaseSettings(url=SecretStr(database_url)))
    await run_approvals(settings, as_json=False)
    assert "Nothing waits" in capsys.readouterr().out
    async with database.connection() as conn:
        await conn.execute(ROW)
    await run_approvals(settings, as_json=False)
    out = capsys.readouterr().out
    assert "#ops" in out and "[red]it" in out and "\x1b" not in out and "U2" in out and "1 min" in out
    await run_approvals(settings, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["approval_id"], row["tool"], row["approvers"], row["channel"]) == ("a1", "drop", ["U2"], "ops")
    async with database.connection() as conn:
        await conn.execute("update approvals set expires_at = now()")
    await run_approvals(settings, as_json=True)
    assert json.loads(capsys.readouterr().out) == []
