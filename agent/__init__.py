"""Everything that knows LangGraph and models: the graph, its middleware, its checkpoints, the runner."""
