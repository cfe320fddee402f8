"""`sparse-agents sweep` as a script."""

from sparse_agents.cli import run_command
from sparse_agents.cli.sweep import main

if __name__ == "__main__":
    run_command(main)
