"""The command line, ``sparse-agents COMMAND``; the same commands are in ``scripts``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

import sparse_agents
from sparse_agents.errors import SparseAgentsError

COMMANDS = {
    "train": "train an agent, or resume a run",
    "train_sequence": "learn a sequence of tasks, or resume a run",
    "evaluate": "evaluate a trained agent",
    "sweep": "train every combination of settings, on this machine or a Ray cluster",
    "plot": "draw runs beside each other",
    "report": "one page about some runs: curves, cost, topologies",
    "export": "write a trained agent for other programs: ONNX, C, Stable-Baselines3, safetensors",
    "benchmark": "measure the kernels against dense",
}


def run_command(command: Callable[[Sequence[str]], None], arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends with one message and exit code 2, Ctrl-C with 130."""
    try:
        command(sys.argv[1:] if arguments is None else arguments)
    except SparseAgentsError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def main() -> None:
    """Console entry point."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: sparse-agents COMMAND [options]\n")
        print("\n".join(f"  {command:<14} {what}" for command, what in COMMANDS.items()))
        print("\nsparse-agents COMMAND --help shows a command's options; sparse-agents --version the version.")
        return
    if name == "--version":
        print(f"sparse-agents {sparse_agents.__version__}")
        return
    if name not in COMMANDS:
        print(f"error: unknown command {name!r}. Available: {', '.join(COMMANDS)}.", file=sys.stderr)
        raise SystemExit(2)
    module = importlib.import_module(f"sparse_agents.cli.{name}")
    run_command(module.main, arguments)
