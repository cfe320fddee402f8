"""Fine-tuning: one task after the other, and nothing else."""

from sparse_agents.continual.method import ContinualMethod


class FineTuning(ContinualMethod):
    """What is learned before is only where the next task starts from."""
