"""The team's documentation: where it comes from, how it is kept fresh, and how updates of it are proposed."""
