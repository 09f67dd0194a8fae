"""Operators' programs, as real processes: what they get, what they may use, and that nothing of them stays."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from ratchet.monitors.program import LONGEST_STDERR, ProgramFailed, run_program

# Leaves a child in another session, whose parent is gone, and one in the same group; then hangs or ends.
FAMILY = 'setsid sh -c "sleep 600 & echo \\$! >> \\$0" "$1"; sleep 600 & echo $! >> "$1"; echo $$ >> "$1"; '


def shell(script, *arguments):
    return ["/bin/sh", "-c", script, "sh", *map(str, arguments)]


def alive(pid):
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def family(path, count=3):
    """The ids that a program and its children have written down."""
    async with asyncio.timeout(20):
        while not path.is_file() or len(path.read_text().split()) < count:
            await asyncio.sleep(0.02)
    return [int(pid) for pid in path.read_text().split()]


async def until_gone(pids):
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


async def test_a_program_gets_its_input_and_gives_its_output():
    given = os.urandom(3_000_000)
    written = await run_program(["/bin/cat"], given, longest=4_000_000)
    assert written.stdout == given and written.stderr == ""


async def test_arguments_are_words_that_no_shell_reads(tmp_path):
    hostile = ["; touch pwned", "$(touch pwned)", "`id`", "-rf", "--", "a\nb", "*", "\u202eevil", "'\""]
    written = await run_program(
        [sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *hostile], b""
    )
    assert json.loads(written.stdout) == hostile


async def test_the_environment_holds_nothing_of_ours_and_the_folder_is_new_and_goes(monkeypatch, tmp_path):
    monkeypatch.setenv("RATCHET_SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.chdir(tmp_path)
    script = "import os, json; open('left', 'w'); print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('.')]))"
    written = await run_program([sys.executable, "-I", "-c", script], b"")
    environment, folder, listing = json.loads(written.stdout)
    environment.pop("LC_CTYPE", None)  # Python's own doing
    assert environment == {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder}
    assert listing == ["left"] and not Path(folder).exists() and folder != str(tmp_path)


async def test_no_file_of_ours_is_open_in_it_and_signals_are_as_usual(tmp_path):
    with (tmp_path / "ours").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        written = await run_program(shell("ls /proc/$$/fd; grep SigIgn /proc/$$/status"), b"")
    *numbers, ignored = written.stdout.decode().splitlines()
    assert set(numbers) <= {"0", "1", "2"}, numbers
    of_libc = 0b11 << 31  # signals 32 and 33, which the C library keeps for itself
    assert int(ignored.split()[1], 16) & ~of_libc == 0, ignored


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 3", "ended with exit code 3"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("dd if=/dev/zero of=big bs=1M count=100", "ended with exit code|SIGXFSZ"),
        ("python3 -c 'bytearray(5 << 30)'", "ended with exit code 1"),
        ("yes", "wrote more than 1,048,576 bytes"),
        ("sleep 600", "did not finish within 0.5 s"),
        ("trap '' TERM INT HUP; while :; do :; done", "did not finish within 0.5 s"),
    ],
)
async def test_what_fails_or_exceeds_a_limit_says_so(script, says):
    with pytest.raises(ProgramFailed, match=says):
        await run_program(
            shell(script),
            b"input that nobody reads" * 100_000,
            seconds=0.5 if "sle" in script or "trap" in script else 20,
        )


@pytest.mark.parametrize("kind", ["no program", "nothing that runs"])
async def test_a_program_that_cannot_be_started_says_why(tmp_path, kind):
    program = tmp_path / "program"
    if kind == "nothing that runs":
        program.write_text("no script, no binary\0")
        program.chmod(0o755)
    with pytest.raises(ProgramFailed, match="exit code 127") as failure:
        await run_program([str(program)], b"")
    assert f"cannot run {program}" in failure.value.stderr


async def test_of_a_flood_of_complaints_the_beginning_is_kept():
    written = await run_program(shell("echo first >&2; yes complaint | head -c 20000000 >&2; echo {}"), b"")
    assert (
        written.stdout == b"{}\n"
        and written.stderr.startswith("first\ncomplaint")
        and len(written.stderr) == LONGEST_STDERR
    )


async def test_a_program_at_its_limit_is_killed_with_all_its_children(tmp_path):
    ids = tmp_path / "ids"
    with pytest.raises(ProgramFailed, match="did not finish within 1 s"):
        await run_program(shell(FAMILY + "sleep 600", ids), b"", seconds=1)
    assert len(pids := await family(ids)) == 3 and not any(alive(pid) for pid in pids)


async def test_children_do_not_outlive_a_program_that_ends_well(tmp_path):
    ids = tmp_path / "ids"
    written = await run_program(shell(FAMILY + "echo {}", ids), b"")
    assert written.stdout == b"{}\n" and not any(alive(pid) for pid in await family(ids))


async def test_whoever_stops_waiting_ends_the_program(tmp_path):
    ids = tmp_path / "ids"
    task = asyncio.create_task(run_program(shell(FAMILY + "sleep 600", ids), b""))
    pids = await family(ids)
    assert all(alive(pid) for pid in pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_program_ends_when_ratchet_is_killed(tmp_path, number):
    ids = tmp_path / "ids"
    caller = textwrap.dedent("""
        import asyncio, json, sys
        from ratchet.monitors.program import run_program
        asyncio.run(run_program(json.loads(sys.argv[1]), b""))
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", caller, json.dumps(shell("pwd > $1.pwd; " + FAMILY + "sleep 600", ids))
    )
    pids = await family(ids)
    assert all(alive(pid) for pid in pids)
    process.send_signal(number)
    await process.wait()
    await until_gone(pids)
    folder = Path(Path(f"{ids}.pwd").read_text().strip())
    async with asyncio.timeout(5):
        while folder.exists():
            await asyncio.sleep(0.02)
