"""rl-zoo3's train and enjoy with sparse agents: scripts/zoo.py train --algo ds_td3 --env HalfCheetah-v5 ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import sparse_agents  # noqa: F401  its policies' names
from sparse_agents.cli import run_command
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.zoo import HYPERPARAMS, register

_PARSER = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_PARSER.add_argument("--algo", default="ppo")
_PARSER.add_argument("-c", "--conf-file")
_RECIPE = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_RECIPE.add_argument("--recipe", default="paper")


USAGE = """\
usage: zoo.py train [--recipe paper|robust] [rl-zoo3's flags]
       zoo.py enjoy [rl-zoo3's flags]

rl-zoo3 with sparse agents: ds_td3 and ds_sac are algorithms, and settings of ours are taken where there are some and
no --conf-file is given. `zoo.py train --help` and `zoo.py enjoy --help` show rl-zoo3's flags and defaults.
"""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    command, *rest = argv or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE)
        return
    if command not in ("train", "enjoy"):
        raise unknown("command", command, ("train", "enjoy"))
    register()
    sys.argv = [f"{sys.argv[0]} {command}", *rest]  # for the usage that rl-zoo3 prints
    if command == "enjoy":
        from rl_zoo3.enjoy import enjoy

        enjoy()
        return
    from rl_zoo3.train import train

    chosen, sys.argv[1:] = _RECIPE.parse_known_args()
    given, _ = _PARSER.parse_known_args()
    ours = HYPERPARAMS / f"{given.algo}{'' if chosen.recipe == 'paper' else f'_{chosen.recipe}'}.yml"
    if chosen.recipe != "paper" and (given.conf_file is not None or not ours.is_file()):
        raise ConfigurationError(
            f"--recipe {chosen.recipe}: there are recipes, paper and robust, for ds_td3 and ds_sac, without -c."
        )
    if given.conf_file is None and ours.is_file():
        sys.argv += ["--conf-file", str(ours)]
    train()


if __name__ == "__main__":
    run_command(main)
