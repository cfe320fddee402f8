"""Sequences of environments by name, by their ids, or from a file."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym

from sparse_agents.envs.tasks import SEQUENCES
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.runs import check_environment, read_yaml

YAML = (".yml", ".yaml")


def names_environments(name: str) -> bool:
    """Whether this looks like what :func:`environment_sequence` takes."""
    return name in SEQUENCES or name in gym.registry or "," in name or Path(name).suffix in YAML


def environment_sequence(name: str) -> tuple[str, ...]:
    """Ids of environments.

    Args:
        name: one of ``sparse_agents.envs.SEQUENCES``; ids with commas between them; or a YAML file with a list of ids.

    Raises:
        ConfigurationError: naming what is not known, or not understood.
    """
    if name in SEQUENCES:
        return tuple(SEQUENCES[name])
    if Path(name).suffix in YAML:
        envs = _read(Path(name))
    elif "," in name:
        envs = tuple(part.strip() for part in name.split(","))
    elif name in gym.registry:
        raise ConfigurationError(f"{name} is one environment: a sequence has several, with commas between their ids.")
    else:
        raise unknown("sequence", name, SEQUENCES)
    for env in envs:
        check_environment(env)
    return envs


def _read(path: Path) -> tuple[str, ...]:
    content = read_yaml(path)
    if not isinstance(content, list) or not content or not all(isinstance(env, str) for env in content):
        raise ConfigurationError(f"{path} is not a list of environments' ids.")
    return tuple(content)
