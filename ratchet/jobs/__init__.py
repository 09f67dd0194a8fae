"""The queue's tasks, one file a topic, each a few lines that call inward."""
