"""A model server without a model: OpenAI- and Ollama-compatible, answering from rules or from a planner."""
