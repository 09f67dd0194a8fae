"""`ratchet eval runbooks`, as it is called."""

import json
from pathlib import Path

from tests.processes import ratchet

ROOT = str(Path(__file__).parents[2])


async def test_runbooks_of_real_threads_keep_to_them_with_the_offline_model(tmp_path, shared_data):
    data = str(shared_data / "threads" / "dev.jsonl")
    code, out, err = await ratchet("eval", "runbooks", "--data", data, "--json", cwd=tmp_path, PYTHONPATH=ROOT)
    figures = json.loads(out)
    assert code == 0 and "offline demo model" in err and figures["model"] == "offline-demo"
    assert (figures["threads"], figures["failed"], figures["grounded"]) == (44, 0, 1.0)
    assert figures["lines"] > 200 and figures["commands_kept"] >= 0.9


async def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    code, out, err = await ratchet("eval", "runbooks", "--data", "nowhere", cwd=tmp_path, PYTHONPATH=ROOT)
    assert code == 1 and err.startswith("error: nowhere cannot be read") and not out
