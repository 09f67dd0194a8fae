"""Logging must never fail what it tells of."""

import io
import logging
import sys

import pytest
import structlog

from agent.redaction import Redactor
from ratchet.telemetry import configure_logging


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_lines_go_to_standard_error_as_it_is_when_they_are_written(monkeypatch):
    configure_logging(level="info", readable=False, redactor=Redactor(["my-configured-secret"]))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    structlog.get_logger().info("hello", token="my-configured-secret")
    logging.getLogger("somebody").error("from a library")
    assert "hello" in stream.getvalue() and "from a library" in stream.getvalue()
    assert "my-configured-secret" not in stream.getvalue()


@pytest.mark.parametrize("broken", ["closed", "pipe"])
def test_a_line_that_cannot_be_written_is_lost_and_no_more(monkeypatch, broken):
    configure_logging(level="info", readable=False, redactor=Redactor())
    stream = Broken() if broken == "pipe" else io.StringIO()
    if broken == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    structlog.get_logger().error("hello")
    logging.getLogger("somebody").error("from a library")
