"""What agents of any width keep in memory, by connections and densely."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor

from sparse_agents.algorithms import DSTD3
from sparse_agents.benchmark.agents import new_agent
from sparse_agents.benchmark.masks import masked
from sparse_agents.benchmark.peak import peak, settled
from sparse_agents.benchmark.replay import dimensions, fill
from sparse_agents.nn import sparse_layers
from sparse_agents.runs import gradient_step_seconds

ENVIRONMENT = "HalfCheetah-v5"
SPARSITY = 0.999
WIDTHS = (1024, 4096, 16384, 65536, 131072)
BATCH = 256
STEPS = 4
LARGEST_DENSE = 4096
"""Width up to which dense agents are made; they are reckoned beyond."""
DENSE_BYTES = {"parameters": 4, "gradients": 4, "moments": 8, "indices": 0, "targets": 4}


@dataclass(frozen=True)
class AgentMemory:
    """Of a TD3 agent with two hidden layers: an actor, two critics and their targets.

    Attributes:
        contender: ``"sparse_agents"``, ``"dense"`` or ``"masks"``.
        width: of the hidden layers.
        sparsity: of each network, zero where it is dense.
        connections: weights that are trained, of actor and critics.
        parts: bytes by what is kept: parameters, gradients, moments, indices, targets; biases included.
        peak: bytes of resident memory at the highest, from before the agent was made to after some gradient steps;
            None where that was not run, as it would not fit.
        step_seconds: of a gradient step; None like ``peak``.
    """

    contender: str
    width: int
    sparsity: float
    connections: int
    parts: Mapping[str, int]
    peak: int | None
    step_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def agent_memory(widths: Sequence[int] = WIDTHS, sparsity: float = SPARSITY) -> Iterator[AgentMemory]:
    """Each agent in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for width in widths:
        for contender in ("sparse_agents", "dense", "masks"):
            if contender != "sparse_agents" and width > LARGEST_DENSE:
                if contender == "dense":
                    yield _reckoned(width)
                continue
            with context.Pool(1) as pool:
                yield pool.apply(_measured, (contender, width, sparsity))


def _reckoned(width: int) -> AgentMemory:
    """A dense agent from its shapes alone."""
    observations, actions = dimensions(ENVIRONMENT)
    actor = width * (observations + width + actions)
    critics = 2 * width * (observations + actions + width + 1)
    weights = actor + critics
    return AgentMemory(
        "dense", width, 0.0, weights, {name: size * weights for name, size in DENSE_BYTES.items()}, None, None
    )


def _measured(contender: str, width: int, sparsity: float) -> AgentMemory:
    torch.set_num_threads(1)
    _trained(contender, 64, 0.5)  # loads what is loaded at first use
    before = settled()
    model, seconds = _trained(contender, width, sparsity)
    highest = peak() - before
    connections = sum(p.numel() for n, p in model.policy.named_parameters() if _is_online_weight(n))
    return AgentMemory(
        contender, width, 0.0 if contender == "dense" else sparsity, connections, kept(model), highest, seconds
    )


def _trained(contender: str, width: int, sparsity: float) -> tuple[Any, float]:
    if contender == "sparse_agents":
        model: OffPolicyAlgorithm = new_agent(DSTD3, ENVIRONMENT, width, BATCH, sparsity, buffer_size=1000)
    else:
        model = new_agent(TD3, ENVIRONMENT, width, BATCH, buffer_size=1000)
    if contender == "masks":
        model = masked(model, sparsity)
    fill(model)
    seconds = gradient_step_seconds({"": model}, BATCH, steps=STEPS, rounds=1)
    return model, seconds[""]


def kept(model: Any) -> dict[str, int]:
    """Bytes of an agent's networks by what they are for. Tensors that share memory count once."""
    policy = model.policy
    weights = dict(policy.named_parameters())
    online = [p for name, p in weights.items() if "target" not in name]
    optimizers = (model.actor.optimizer, model.critic.optimizer)
    indices = [
        value
        for layer in sparse_layers(policy).values()
        for value in vars(layer.topology.edges).values()
        if value is not None
    ]
    return {
        "parameters": _bytes(online),
        "gradients": _bytes(p.grad for p in online if p.grad is not None),
        "moments": _bytes(s[key] for o in optimizers for s in o.state.values() for key in ("exp_avg", "exp_avg_sq")),
        "indices": _bytes(_flat(indices)),
        "targets": _bytes(p for name, p in weights.items() if "target" in name),
    }


def _flat(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple):
            yield from _flat(value)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def _is_online_weight(name: str) -> bool:
    return name.endswith("weight") and "target" not in name
