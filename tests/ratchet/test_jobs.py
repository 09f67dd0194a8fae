"""What becomes of jobs that fail."""

import aiohttp
import psycopg
import pytest
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from ratchet.jobs import approvals, files


@pytest.mark.parametrize("task", [files.read_file, approvals.notice], ids=lambda task: task.name)
@pytest.mark.parametrize("error", [aiohttp.ClientError(), psycopg.OperationalError(), JobAborted()], ids=repr)
def test_a_job_that_says_or_reads_something_is_tried_again(task, error):
    job = Job(id=1, queue=task.queue, lock=None, queueing_lock=None, task_name=task.name)
    assert task.get_retry_exception(error, job) is not None
    job = job.evolve(attempts=4)
    assert (task.get_retry_exception(error, job) is not None) is isinstance(error, JobAborted)
