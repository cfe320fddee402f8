"""Joint training: the data of all tasks so far."""

from sparse_agents.continual.method import ContinualMethod


class Joint(ContinualMethod):
    """Nothing is ever taken away: what continual learning would be at best."""

    data = "all"
    no_agents = "an agent acts in one environment at a time"
