"""The command line in processes of its own that begin with everything imported."""

import asyncio
import atexit
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]  # the commands of this checkout, wherever another one is installed
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["ratchet.serve", "ratchet.demo", "ratchet.health", "langchain_openai", "langchain_ollama"]
)


async def ratchet(*arguments, cwd, stdin="", seconds=60, **environment):
    """Run a command in a clean environment; returns (exit code, standard output, standard error).

    Each is a fork of one process that has imported Ratchet, because importing takes longer than most commands do.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("in", "out", "err")]
        files[0].write_text(stdin)
        environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(ROOT), **environment}
        process = _forks.Process(target=_run, args=(arguments, str(cwd), environment, files))
        process.start()
        await asyncio.to_thread(process.join, seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"ratchet {' '.join(arguments)} runs for more than {seconds} s: {files[2].read_text()}")
        return process.exitcode, files[1].read_text(), files[2].read_text()


def _run(arguments, cwd, environment, files):
    for number, file in enumerate(files):
        with file.open("w" if number else "r") as opened:
            os.dup2(opened.fileno(), number)
    sys.stdin = open(0)  # noqa: SIM115 - multiprocessing gave it /dev/null
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ratchet", *arguments]
    from ratchet.cli import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
