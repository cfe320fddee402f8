"""Optuna's search space of what makes an agent sparse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Sampler = Callable[[Any, int, int, dict[str, Any]], dict[str, Any]]
Converter = Callable[[dict[str, Any]], dict[str, Any]]

RULES = ("static", "set", "rigl")
INTERVALS = (250, 500, 1000, 2000, 4000)
OURS = ("sparsity", "topology", "update_interval", "drop_fraction")


def sample_sparse(dense: Sampler, without: Sequence[str] = ()) -> Sampler:
    """A sampler of rl-zoo3's, and of sparsity, rule, interval and drop fraction; ``without`` some of its settings."""

    def sample(trial: Any, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
        settings = _but(dense(trial, n_actions, n_envs, additional_args), without)
        ours = {
            "sparsity": trial.suggest_float("sparsity", 0.5, 0.98),
            "topology": trial.suggest_categorical("topology", RULES),
            "update_interval": trial.suggest_categorical("update_interval", INTERVALS),
            "drop_fraction": trial.suggest_float("drop_fraction", 0.05, 0.5),
        }
        return _merged(settings, ours)

    return sample


def convert_sparse(dense: Converter, without: Sequence[str] = ()) -> Converter:
    """From a trial's parameters, as Optuna stores them, to settings."""

    def convert(sampled: dict[str, Any]) -> dict[str, Any]:
        ours = {name: sampled[name] for name in OURS if name in sampled}
        return _merged(_but(dense(_but(sampled, OURS)), without), ours)

    return convert


def _but(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _merged(settings: dict[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    timing = {name: ours[name] for name in ("update_interval", "drop_fraction") if name in ours}
    policy = {name: ours[name] for name in ("sparsity", "topology") if name in ours}
    if "sparsity" in ours:
        policy["dense_output"] = False  # dense outputs alone can be more than a high sparsity leaves a small network
    kwargs = {**settings.get("policy_kwargs", {}), **policy, "topology_kwargs": timing}
    return {**settings, "policy_kwargs": kwargs}
