"""rl-zoo3's train and enjoy with sparse agents: scripts/zoo.py train --algo ds_td3 --env HalfCheetah-v5 ..."""

from __future__ import annotations

import argparse
import sys

import sparse_agents  # noqa: F401  its policies' names
from sparse_agents.zoo import HYPERPARAMS, register

_PARSER = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_PARSER.add_argument("--algo", default="ppo")
_PARSER.add_argument("-c", "--conf-file")
_RECIPE = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_RECIPE.add_argument("--recipe", default="paper")


def main() -> None:
    """Entry point. Settings are ours where we have some for the algorithm and its recipe, and none are given."""
    if len(sys.argv) < 2 or sys.argv[1] not in ("train", "enjoy"):
        sys.exit("usage: scripts/zoo.py train [--recipe paper|robust] [rl-zoo3's flags], or enjoy [rl-zoo3's flags]")
    command = sys.argv.pop(1)
    register()
    if command == "enjoy":
        from rl_zoo3.enjoy import enjoy

        enjoy()
        return
    from rl_zoo3.train import train

    chosen, sys.argv[1:] = _RECIPE.parse_known_args()
    given, _ = _PARSER.parse_known_args()
    ours = HYPERPARAMS / f"{given.algo}{'' if chosen.recipe == 'paper' else f'_{chosen.recipe}'}.yml"
    if chosen.recipe != "paper" and (given.conf_file is not None or not ours.is_file()):
        sys.exit(f"--recipe {chosen.recipe}: there are recipes, paper and robust, for ds_td3 and ds_sac, without -c.")
    if given.conf_file is None and ours.is_file():
        sys.argv += ["--conf-file", str(ours)]
    train()


if __name__ == "__main__":
    main()
