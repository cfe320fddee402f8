"""Names in rl-zoo3's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparse_agents.algorithms import DSSAC, DSTD3
from sparse_agents.errors import ConfigurationError
from sparse_agents.zoo.search import convert_sparse, sample_sparse

HYPERPARAMS = Path(__file__).parent / "hyperparams"
"""A YAML file of settings per algorithm."""


def register() -> None:
    """Make ``ds_td3`` and ``ds_sac`` algorithms of rl-zoo3's, for training, tuning, and watching.

    Raises:
        ConfigurationError: where rl-zoo3 is not installed.
    """
    try:
        from rl_zoo3 import hyperparams_opt as search
        from rl_zoo3.utils import ALGOS
    except ImportError as error:
        raise ConfigurationError("This needs rl-zoo3: pip install sparse-agents[zoo]") from error
    copied = ("tau", "target_update_interval")  # DSSAC copies its targets in place of averaging
    for name, algorithm, like, without in (("ds_td3", DSTD3, "td3", ()), ("ds_sac", DSSAC, "sac", copied)):
        samplers: dict[str, Any] = search.HYPERPARAMS_SAMPLER
        converters: dict[str, Any] = search.HYPERPARAMS_CONVERTER
        ALGOS[name] = algorithm
        samplers[name] = sample_sparse(samplers[like], without)
        converters[name] = convert_sparse(converters[like], without)
