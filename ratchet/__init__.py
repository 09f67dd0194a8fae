"""The process: settings, start-up, command line, jobs and web. It alone sees every other package."""

__version__ = "0.1.0"
