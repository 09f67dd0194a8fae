"""GitHub's REST API over repositories in memory."""
