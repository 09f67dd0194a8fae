"""Slack as an app sees it: Web API, Socket Mode and signed HTTP events over one workspace in memory."""
