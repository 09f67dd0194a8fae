"""The catalogue: what the model can pick. One capability a file, the file named as its tool."""
