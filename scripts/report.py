"""`sparse-agents report` as a script."""

from sparse_agents.cli import run_command
from sparse_agents.cli.report import main

if __name__ == "__main__":
    run_command(main)
