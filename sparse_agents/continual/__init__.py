"""Sequences of tasks, and methods that learn them without forgetting."""
