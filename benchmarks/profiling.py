"""Where the time of Ratchet's turns goes, by function."""

from __future__ import annotations

import cProfile
import pstats
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.model import QUESTION_CHARS, text
from benchmarks.subjects import RATCHET, open_subjects

ROOT = str(Path(__file__).parents[1])
SHOWN = 15


async def profile_turns(url: str, *, turns: int) -> str:
    """Run turns one after the other under cProfile; its heaviest functions, and the heaviest of our own."""
    numbers = count()
    async with open_subjects(url) as subjects:
        subject = next(subject for subject in subjects if subject.name == RATCHET)
        runs = [await subject.prepare(next(numbers), text(n, QUESTION_CHARS)) for n in range(turns + 5)]
        for run in runs[:5]:
            await run()
        profile = cProfile.Profile()
        profile.enable()
        for run in runs[5:]:
            await run()
        profile.disable()
    return _describe(profile, turns)


def _describe(profile: cProfile.Profile, turns: int) -> str:
    stats: Any = pstats.Stats(profile)
    functions = [
        (name, file, line, calls, own, cumulated)
        for (file, line, name), (_, calls, own, cumulated, _) in stats.stats.items()
    ]
    total = stats.total_tt
    head = f"{'ms a turn':>10} {'cumulated':>10} {'calls':>9}  function"
    lines = [f"{turns} turns, {total / turns * 1000:.1f} ms each under the profiler", head]
    by_own = sorted(functions, key=lambda entry: entry[4], reverse=True)[:SHOWN]
    ours = sorted((entry for entry in functions if entry[1].startswith(ROOT) and ".venv" not in entry[1]),
                  key=lambda entry: entry[5], reverse=True)[:SHOWN]  # fmt: skip
    for title, chosen in (("heaviest by themselves", by_own), ("our own, with what they call", ours)):
        lines.append(f"-- {title}")
        for name, file, line, calls, own, cumulated in chosen:
            place = f"{Path(file).parent.name}/{Path(file).name}:{line} " if line else ""
            lines.append(f"{own / turns * 1000:10.3f} {cumulated / turns * 1000:10.3f} {calls:>9}  {place}{name}")
    return "\n".join(lines)
