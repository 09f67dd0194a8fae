"""``python -m benchmarks.faults``: kills real processes at the worst moments; exit 1 unless every answer came once."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Parse the command line and run."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports langgraph
    import asyncio

    from benchmarks.faults.suite import ALL, DEFAULT, Plan, run_suite

    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="runs of each point (10)")
    parser.add_argument("--messages", type=int, default=100, metavar="N", help="messages where there are many (100)")
    parser.add_argument("--point", nargs="+", choices=ALL, metavar="NAME", help=f"some of: {', '.join(ALL)}")
    parser.add_argument("--all", action="store_true", help="every point, not only the six and the other scenarios")
    parser.add_argument("--lanes", type=int, default=4, metavar="N", help="runs at a time (4)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the chances of an earlier run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run's result there")
    options = parser.parse_args()
    names = options.point or (ALL if options.all else DEFAULT)
    plan = Plan(names, options.runs, options.messages, options.lanes, options.seed)
    sys.exit(asyncio.run(run_suite(plan, options.json)))


if __name__ == "__main__":
    main()
