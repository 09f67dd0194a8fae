"""``python -m benchmarks``: measures turns, storage, acks and search, and prints the figures beside their targets."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

NAMES = ("turns", "throughput", "growth", "latency", "acks", "start", "search")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: under a minute, noisier figures")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports langgraph
    os.environ["LANGSMITH_TRACING"] = "false"
    import asyncio

    from benchmarks.suite import FULL, QUICK, run_suite
    from ratchet.serve import spare_collector

    spare_collector()  # as `ratchet serve` does; every subject runs in this process
    sys.exit(asyncio.run(run_suite(options.only or NAMES, QUICK if options.quick else FULL, json_file=options.json)))


if __name__ == "__main__":
    main()
