"""`python -m sandbox`: serve a workspace and models on this machine until Ctrl-C."""

import argparse
import asyncio
import contextlib
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from sandbox.demo_data import load_demo
from sandbox.importer import load_folder
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=0, help="Slack's port (default: a free one)")
    parser.add_argument("--model-port", type=int, default=0, help="the models' port (default: a free one)")
    parser.add_argument("--brain", choices=("script", "planner"), default="planner", help="who answers")
    parser.add_argument("--demo", action="store_true", help="fill the workspace with the demo's history")
    parser.add_argument("--import", dest="folder", type=Path, help="fill it from a folder of an export")
    parser.add_argument("--request-url", help="send events there by signed HTTP, not by Socket Mode")
    parser.add_argument("--no-rate-limits", action="store_true", help="switch Slack's rate limits off")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    workspace = Workspace()
    now = datetime.now(UTC)
    if options.demo:
        load_demo(workspace, now=now)
    if options.folder:
        load_folder(workspace, options.folder, now=now)
    config = SandboxConfig(
        host=options.host,
        port=options.port,
        model_port=options.model_port,
        rate_limits=not options.no_rate_limits,
        request_url=options.request_url,
        brain=options.brain,
    )
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with open_sandbox(config, workspace) as sandbox:
        lines = [
            f"Slack    {sandbox.url}",
            f"OpenAI   {sandbox.openai_url}",
            f"Ollama   {sandbox.ollama_url}",
            f"GitHub   {sandbox.github.api_url}",
            "",
            *(f"export {name}={value}" for name, value in sandbox.environment().items()),
            "",
            "Ctrl-C stops.",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
