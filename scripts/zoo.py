"""rl-zoo3's train and enjoy with sparse agents: scripts/zoo.py train --algo ds_td3 --env HalfCheetah-v5 ..."""

from __future__ import annotations

import sys

import sparse_agents  # noqa: F401  its policies' names
from sparse_agents.zoo import HYPERPARAMS, register

CONFIG_FLAGS = ("-c", "--conf-file")


def main() -> None:
    """Entry point. Settings are ours where we have some for the algorithm and none are given."""
    if len(sys.argv) < 2 or sys.argv[1] not in ("train", "enjoy"):
        sys.exit("usage: scripts/zoo.py train|enjoy [rl-zoo3's flags]")
    command = sys.argv.pop(1)
    register()
    if command == "enjoy":
        from rl_zoo3.enjoy import enjoy

        enjoy()
        return
    from rl_zoo3.train import train

    if "--algo" in sys.argv and not any(flag in sys.argv for flag in CONFIG_FLAGS):
        ours = HYPERPARAMS / f"{sys.argv[sys.argv.index('--algo') + 1]}.yml"
        if ours.is_file():
            sys.argv += ["--conf-file", str(ours)]
    train()


if __name__ == "__main__":
    main()
