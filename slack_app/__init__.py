"""Everything that knows Slack: events in, posts out."""
