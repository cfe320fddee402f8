"""``python -m sparse_agents.cli``."""

from sparse_agents.cli import main

main()
