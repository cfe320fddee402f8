"""What topology updates cost: time beside a gradient step, and peak memory beside a dense layer."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.logger import Logger

from sparse_agents.benchmark.peak import peak, settled
from sparse_agents.benchmark.replay import fill
from sparse_agents.control import TopologyController
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLinear
from sparse_agents.rules import RULES, TopologyRule, make_rule
from sparse_agents.runs import make_env
from sparse_agents.topology import Schedule, Topology, random_edges

BATCH = 256
SPARSITY = 0.9
MEASURED_INTERVAL = 20
"""Steps between updates while measuring; a multiple of the actor's delay, so that all networks update together."""
AMORTISED_OVER = 100
CHOOSE_AMONG_WEIGHTS = ("topkast", "rlx2")
"""Begin with the largest of a dense layer's weights; where it would not fit, values like theirs in random places."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {"cht, ch2-l3n": ("cht", {"predictor": "ch2-l3n"})}
"""Rules that are measured with other options, too."""


@dataclass(frozen=True)
class UpdateTime:
    """Of all layers of a TD3 agent: an actor and two critics.

    Attributes:
        case: the hidden layers.
        rule: the rule's name.
        update_seconds: one update, over an ordinary gradient step.
        step_seconds: a gradient step between updates.
        static_seconds: a gradient step of the same agent without a rule.
        share: what an update every 100 steps adds to a gradient step, as a part of it; 0 where there is only one.
        ramps: whether the number of connections was on its way down.
        every_step: whether the rule works at every step too, which makes its steps longer than those without it.
    """

    case: str
    rule: str
    update_seconds: float
    step_seconds: float
    static_seconds: float
    share: float
    ramps: bool
    every_step: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class UpdateMemory:
    """Of one layer, in bytes.

    Attributes:
        case: the layer.
        rule: the rule's name.
        peak: resident memory that training with one update needed at its peak, the interpreter's not counted.
        update: of that, what the update needed over the training before it.
        dense: the weights alone of a dense layer of this shape.
        seconds: the update took.
    """

    case: str
    rule: str
    peak: int
    update: int
    dense: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _variant(name: str) -> tuple[str, dict[str, Any]]:
    return VARIANTS.get(name, (name, {}))


def _made(name: str) -> TopologyRule:
    rule, options = _variant(name)
    return make_rule(rule, **options)


def _agent(case: str, width: int) -> TD3:
    rule, options = _variant(case)
    timing: dict[str, Any] = {}
    if make_rule(rule).timed and rule != "static":
        interval = {"actor": MEASURED_INTERVAL // 2, "critic": MEASURED_INTERVAL}
        timing = {"update_interval": interval, "drop_fraction": 0.3, "schedule": "constant", "end": 10**6}
        if make_rule(rule).published["update_interval"] == 1:
            timing["update_interval"] = 1
    # Groups of inputs have to divide every layer; the observations' number is what it is.
    exclude = ["*.0"] if rule == "nm" else []
    kwargs = {
        "net_arch": [width, width],
        "sparsity": SPARSITY,
        "topology": rule,
        "topology_kwargs": timing | options,
        "exclude": exclude,
    }
    model = TD3(
        "SparseMlpPolicy", make_env("HalfCheetah-v5", 0), buffer_size=5000, seed=0, device="cpu", policy_kwargs=kwargs
    )
    fill(model)
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def _step_seconds(model: TD3, steps: int) -> tuple[list[float], list[float]]:
    """Seconds per gradient step, with an update and without. By pairs, of which the actor takes part in one."""
    policy: Any = model.policy
    controller: TopologyController = policy.topology_controllers["critic"]
    due: list[float] = []
    other: list[float] = []
    for _ in range(steps // 2):
        begin = time.perf_counter()
        model.train(2, BATCH)
        seconds = (time.perf_counter() - begin) / 2
        schedule = controller.schedule
        updated = schedule is not None and any(schedule.due(controller.steps - i) for i in (0, 1))
        (due if updated else other).append(seconds)
    return due, other


def update_times(width: int, updates: int = 12, rules: Sequence[str] = ()) -> Iterator[UpdateTime]:
    """Each rule's update in a TD3 agent of two hidden layers at 90% sparsity, beside an agent without one."""
    static = _agent("static", width)
    without = statistics.median(_step_seconds(static, MEASURED_INTERVAL)[1][2:])
    for name in rules or [name for name in (*RULES, *VARIANTS) if _made(name).dynamic]:
        rule = _made(name)
        model = _agent(name, width)
        case = f"{width}-{width}"
        if not rule.timed:  # once, on the first minibatch of each network
            due, other = _step_seconds(model, MEASURED_INTERVAL)
            step = statistics.median(other[2:])
            yield UpdateTime(case, name, 2 * (sum(due) - step * len(due)), step, without, 0.0, rule.ramps, False)
            continue
        _step_seconds(model, MEASURED_INTERVAL)
        base, due, other = [], [], []
        for _ in range(updates):
            base += _step_seconds(static, MEASURED_INTERVAL)[1]
            more_due, more_other = _step_seconds(model, MEASURED_INTERVAL)
            due += more_due
            other += more_other
        step, without = statistics.median(other or due), statistics.median(base)
        update = 2 * (statistics.median(due) - step)
        share = update / AMORTISED_OVER / step
        yield UpdateTime(case, name, update, step, without, share, rule.ramps, rule.every_step)


def update_memory(width: int = 16384, sparsity: float = 0.999, rules: Sequence[str] = ()) -> Iterator[UpdateMemory]:
    """The peak of each rule's update of one wide layer, each in a process of its own. On Linux with glibc only."""
    context = multiprocessing.get_context("spawn")
    for name in rules or [name for name in (*RULES, *VARIANTS) if _fits(name)]:
        with context.Pool(1) as pool:
            yield pool.apply(_one_update, (name, width, sparsity))


def _fits(name: str) -> bool:
    """Not those that begin dense, keep dense state, or have nothing to update."""
    rule = _made(name)
    return rule.dynamic and not rule.ramps and rule.timed and name != "snfs"


def _one_update(name: str, width: int, sparsity: float) -> UpdateMemory:
    torch.set_num_threads(1)
    _train(name, 2048, 0.99)  # loads what is loaded at first use
    return _train(name, width, sparsity)


def _train(name: str, width: int, sparsity: float) -> UpdateMemory:
    generator = torch.Generator().manual_seed(0)
    rule = make_rule(name, m=1024) if name == "nm" else _made(name)
    count = round((1 - sparsity) * width * width)
    shape = torch.empty(width, width, device="meta")
    if name in CHOOSE_AMONG_WEIGHTS:
        edges = random_edges((width, width), count, generator)
    else:
        edges = rule.initial_edges("layer", shape, count, generator)
    empty = settled()
    layer = SparseLinear(width, width, topology=Topology(edges))
    if name in CHOOSE_AMONG_WEIGHTS:
        bound = layer.weight.detach().abs().max()
        layer.weight.data = layer.weight.sign() * bound * (1 - torch.rand(count, generator=generator) * (1 - sparsity))
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    schedule = Schedule(update_interval=2, drop_fraction=0.3)
    controller = TopologyController({"layer": layer}, rule, schedule, seed=0, paths=[{"layer": layer}])
    controller.attach(optimizer)
    x = torch.randn(16, width, generator=generator)
    seconds, highest, update = 0.0, 0, 0
    for _ in range(4):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        highest = max(highest, peak())
        before = settled()
        begin = time.perf_counter()
        optimizer.step()
        seconds = max(seconds, time.perf_counter() - begin)
        highest, update = max(highest, peak()), max(update, peak() - before)
    if layer.topology.nnz < 1:
        raise ConfigurationError(f"topology={name!r} emptied the layer.")
    case = f"layer {width}-{width} at {sparsity:.1%}"
    return UpdateMemory(case, name, highest - empty, update, 4 * width * width, seconds)
