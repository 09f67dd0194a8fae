"""The parsers of single systems; each file is one system or one family."""
