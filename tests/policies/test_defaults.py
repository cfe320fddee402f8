"""What sparse policies do where nothing is said, by their sparsity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sb3_contrib import TQC
from sb3_helpers import Still, build, decays, scales
from stable_baselines3 import DDPG, SAC, TD3

from sparse_agents import DSTD3, sparsify_agent
from sparse_agents.nn import Normalised
from sparse_agents.policies.defaults import Defaults, defaults_for

ALWAYS, SPARSER, SPARSEST = Defaults(), Defaults(weight_decay=0.1), Defaults(layer_norm=("critic",))


def normalised(model: Any) -> list[str]:
    """Networks that have LayerNorm."""
    networks = {"actor": model.actor, "critic": model.critic, "critic_target": model.critic_target}
    return [
        name for name, network in networks.items() if any(isinstance(part, Normalised) for part in network.modules())
    ]


@pytest.mark.parametrize(
    ("sparsity", "expected"),
    [(0.0, ALWAYS), (0.49, ALWAYS), (0.5, SPARSER), (0.94, SPARSER), (0.9499, SPARSEST), (0.99, SPARSEST)],
)
def test_each_holds_from_a_sparsity_on(sparsity: float, expected: Defaults) -> None:
    """A thousandth less is rounding."""
    assert defaults_for(sparsity, {0.0: ALWAYS, 0.5: SPARSER, 0.95: SPARSEST}) is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sparsity": {"actor": 0.5, "critic": 0.96}}, True),
        ({"sparsity": {"actor": 0.96, "critic": 0.9}}, False),
        ({"sparsity": 0.95, "actor_share": 0.34}, True),
        ({"sparsity": 0.95, "actor_share": 0.1}, False),
        ({"distribution": {"*": 0.95}}, True),
        ({"sparsity": 0.95, "exclude": ["critic.*"]}, False),
        ({"sparsity": 0.95, "exclude": ["critic.*.0"]}, False),
        ({"sparsity": 0.95, "topology": "gmp"}, True),
    ],
)
def test_it_is_the_critics_that_have_to_be_so_sparse(options: dict[str, Any], expected: bool) -> None:
    """All their matrices together, in the end."""
    assert ("critic" in normalised(build(TD3, policy_kwargs={"net_arch": [64, 64], **options}))) is expected


@pytest.mark.parametrize("kind", [TD3, DDPG])
def test_from_95_percent_on_critics_are_normalised_and_take_larger_steps(kind: type) -> None:
    model = build(kind, policy_kwargs={"sparsity": 0.95})
    assert normalised(model) == ["critic", "critic_target"]
    assert decays(model) == {"actor": 1e-3, "critic": 0}
    assert scales(model) == {"actor": 3, "critic": 3}
    less = build(kind, policy_kwargs={"sparsity": 0.94})
    assert (normalised(less), decays(less), scales(less)) == (
        [],
        {"actor": 1e-3, "critic": 1e-3},
        {"actor": 1, "critic": 1},
    )


@pytest.mark.parametrize("kind", [SAC, TQC])
def test_those_of_a_maximum_entropy_agent_are_not(kind: type) -> None:
    assert normalised(build(kind, policy_kwargs={"sparsity": 0.95})) == []


def test_what_is_said_holds() -> None:
    assert normalised(build(TD3, policy_kwargs={"sparsity": 0.95, "layer_norm": []})) == []
    assert normalised(build(TD3, policy_kwargs={"sparsity": 0.95, "layer_norm": ["actor"]})) == ["actor"]
    model = build(TD3, policy_kwargs={"sparsity": 0.95, "optimizer_kwargs": {}})
    assert (decays(model), scales(model)) == ({"actor": 0, "critic": 0}, {"actor": 1, "critic": 1})
    assert normalised(model) == ["critic", "critic_target"]


def test_recipes() -> None:
    """The paper's knows nothing of it; ours is what the policy does."""
    paper, ours = (
        DSTD3(env=Still(17, 6), buffer_size=10, recipe=recipe, policy_kwargs={"sparsity": 0.95})
        for recipe in ("paper", "robust")
    )
    assert normalised(paper) == []
    assert normalised(ours) == ["critic", "critic_target"]
    assert ours.why_not_native() is None


def test_they_are_saved_and_loaded(tmp_path: Path) -> None:
    model = build(TD3, policy_kwargs={"sparsity": 0.95})
    model.save(tmp_path / "agent")
    loaded = TD3.load(tmp_path / "agent")
    assert (normalised(loaded), decays(loaded), scales(loaded)) == (normalised(model), decays(model), scales(model))


@pytest.mark.parametrize("kind", [TD3, SAC])
def test_a_trained_agent_made_sparse_computes_and_steps_as_it_did(kind: type, tmp_path: Path) -> None:
    model = sparsify_agent(build(kind, "MlpPolicy"), sparsity=0.95)
    model.save(tmp_path / "agent")
    for one in (model, kind.load(tmp_path / "agent")):  # type: ignore[attr-defined]
        assert (normalised(one), decays(one), scales(one)) == (
            [], {"actor": 0, "critic": 0}, {"actor": 1, "critic": 1}
        )  # fmt: skip
