"""Evaluations on data that nobody of the project wrote; each on a database of its own."""
