"""HTTP: Slack's signed requests, health and metrics."""
