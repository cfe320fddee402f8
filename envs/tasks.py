"""Which environments there are, and in which order they make a sequence. Needs no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

GRAVITIES = (10.0, 5.0, 15.0, 2.5)
"""Of Pendulum, in m/s²."""
VELOCITIES = (0.5, 1.0, 1.5, 2.0, 2.5)
"""That HalfCheetah is to reach, in m/s."""
FRICTIONS = (1.0, 0.1, 5.0, 0.02)
"""Factors of that of Ant's ground."""
GAMES = ("breakout", "freeway", "space_invaders", "asterix", "seaquest")
"""Of MinAtar."""
CONTINUAL_WORLD = (
    "hammer", "push-wall", "faucet-close", "push-back", "stick-pull", "handle-press-side", "push", "shelf-place",
    "window-close", "peg-unplug-side",
)  # fmt: skip
"""Of Meta-World, in the order of Wołczyk et al. 2021, section 4."""
VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "normal": {},
        "hugefoot": {"parts": {"foot": 1.5}},
        "tinyfoot": {"parts": {"foot": 0.5}},
        "carry_stuff": {"parts": {"torso": 4.0}},
        "moon": {"gravity": 0.15},
        "hugegravity": {"gravity": 1.5},
        "rainfall": {"friction": 0.4},
        "defective_module": {"hidden": 0.5},
        "inverted_actions": {"action_signs": (-1, -1, -1, -1, -1, -1)},
        "hugefoot_rainfall": {"parts": {"foot": 1.5}, "friction": 0.4},
        "tinyfoot_moon": {"parts": {"foot": 0.5}, "gravity": 0.15},
        "carry_stuff_hugegravity": {"parts": {"torso": 4.0}, "gravity": 1.5},
    }
)
"""Arguments of ``HalfCheetahVariant`` by the names that the published scenarios use."""

FORGETTING = ("hugefoot", "moon", "carry_stuff", "rainfall")
TRANSFER = ("carry_stuff_hugegravity", "moon", "defective_module", "hugefoot_rainfall")
ROBUSTNESS = ("normal", "inverted_actions", "normal", "inverted_actions")
COMPOSITIONALITY = ("tinyfoot", "moon", "carry_stuff_hugegravity", "tinyfoot_moon")


def pendulum(gravity: float) -> str:
    return f"sparse_agents/Pendulum-gravity-{gravity:g}-v0"


def cheetah(variant: str) -> str:
    return f"sparse_agents/HalfCheetah-{variant}-v0"


def velocity(goal: float) -> str:
    return f"sparse_agents/HalfCheetah-velocity-{goal:g}-v0"


def ant(friction: float) -> str:
    return f"sparse_agents/Ant-friction-{friction:g}-v0"


def minatar(game: str) -> str:
    return f"sparse_agents/MinAtar-{game}-v0"


def meta_world(task: str) -> str:
    return f"sparse_agents/MetaWorld-{task}-v0"


SEQUENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pendulum-gravity": tuple(map(pendulum, GRAVITIES)),
        "cheetah-forgetting": tuple(map(cheetah, FORGETTING)),
        "cheetah-forgetting-long": tuple(map(cheetah, FORGETTING * 2)),
        "cheetah-transfer": tuple(map(cheetah, TRANSFER)),
        "cheetah-robustness": tuple(map(cheetah, ROBUSTNESS)),
        "cheetah-compositionality": tuple(map(cheetah, COMPOSITIONALITY)),
        "cheetah-velocity": tuple(map(velocity, VELOCITIES)),
        "ant-slippery": tuple(map(ant, FRICTIONS)),
        "minatar": tuple(map(minatar, GAMES)),
        "cw10": tuple(map(meta_world, CONTINUAL_WORLD)),
        "cw20": tuple(map(meta_world, CONTINUAL_WORLD * 2)),
    }
)
"""Environments one after the other. The four scenarios are those of Gaya et al. (ICLR 2023)."""
