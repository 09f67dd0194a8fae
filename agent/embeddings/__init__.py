"""Embedding models behind the protocol ``tools.context.Embedder``."""
