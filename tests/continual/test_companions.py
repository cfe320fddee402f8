"""Units that begin anew: dormant ones, and the least useful of the old ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sequence_helpers import SMALL, learner_and_method, permuted_clusters, run_sequence, split_clusters
from torch import Tensor, nn

from sparse_agents.continual.companions import COMPANIONS, DECAY, ContinualBackprop, ReDo
from sparse_agents.continual.gate import Gate
from sparse_agents.continual.methods import METHODS
from sparse_agents.continual.network import Network
from sparse_agents.continual.supervised.tasks import ClassificationSequence
from sparse_agents.control import sparsify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLinear

MANY = {"redo": {"redo_interval": 3, "redo_threshold": 0.6}, "cbp": {"cbp_rate": 0.05, "cbp_maturity": 2}}


def network(optimizer: str = "adam") -> tuple[nn.Sequential, Network, Gate]:
    """3 inputs, 4 and 5 hidden units, 2 outputs; four fifths of all connections, one step of the optimizer taken."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    sparsify(module, sparsity=0.2, distribution="uniform", topology="static", seed=0)
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    made = kinds[optimizer](module.parameters(), lr=0.01)
    module(torch.randn(7, 3)).square().mean().backward()
    made.step()
    first, second, head = (child for child in module if isinstance(child, SparseLinear))
    found = Network(
        "network", {"0": first, "2": second}, {"4": head}, made, activations={"0": module[1], "2": module[3]},
        outlets=[head],
    )  # fmt: skip
    return module, found, Gate(made)


def companion(kind: type, found: Network, gate: Gate, **options: Any) -> Any:
    return kind({"network": found}, {"network": gate}, torch.Generator().manual_seed(0), **options)


def dense(layer: SparseLinear) -> Tensor:
    return layer.topology.edges.dense(layer.weight.detach())


def test_a_renewed_unit_has_fresh_inputs_and_no_say() -> None:
    module, found, gate = network()
    first, second, _ = (child for child in module if isinstance(child, SparseLinear))
    before, after = dense(first), dense(second)
    moments = found.optimizer.state[first.weight]["exp_avg"].clone()
    companion(ReDo, found, gate).renew(found, "0", torch.tensor([1, 3]))
    renewed = torch.tensor([False, True, False, True])
    mask = first.topology.edges.mask()
    assert torch.equal(dense(first)[~renewed], before[~renewed])
    assert (dense(first)[renewed] != before[renewed]).eq(mask[renewed]).all()
    bound = (6 / mask.sum(dim=1)).sqrt()
    assert (dense(first).abs() <= bound[:, None]).all()
    assert (first.bias[renewed] == 0).all()
    assert (dense(second)[:, renewed] == 0).all()
    assert torch.equal(dense(second)[:, ~renewed], after[:, ~renewed])
    own = renewed[first.topology.edges.row]
    state = found.optimizer.state[first.weight]
    assert (state["exp_avg"][own] == 0).all()
    assert (state["exp_avg_sq"][own] == 0).all()
    assert torch.equal(state["exp_avg"][~own], moments[~own])


def test_what_a_unit_said_on_average_goes_on() -> None:
    """A unit that says the same on every sample is renewed without a change of what it feeds."""
    module, found, gate = network()
    first, second, _ = (child for child in module if isinstance(child, SparseLinear))
    with torch.no_grad():
        first.weight[first.topology.edges.row == 2] = 0
        first.bias[2] = 0.7
    x = torch.randn(6, 3)
    before = second(torch.relu(first(x)))
    companion(ContinualBackprop, found, gate).renew(found, "0", torch.tensor([2]), torch.tensor([0.7]))
    assert torch.allclose(second(torch.relu(first(x))), before, atol=1e-6)


def test_units_with_a_closed_connection_are_left_alone() -> None:
    module, found, gate = network()
    first, second, _ = (child for child in module if isinstance(child, SparseLinear))
    incoming, outgoing = (torch.ones_like(one.weight, dtype=torch.bool) for one in (first, second))
    incoming[(first.topology.edges.row == 0).nonzero()[0]] = False
    outgoing[(second.topology.edges.col == 3).nonzero()[0]] = False
    gate.open = {first.weight: incoming, second.weight: outgoing}
    watching = companion(ReDo, found, gate, interval=1, threshold=100.0)
    assert watching.free(found, "0").tolist() == [False, True, True, False]
    before = dense(first)
    module(torch.randn(4, 3)).sum().backward()
    watching.after_step(found)
    moved = (dense(first) != before).any(dim=1)
    assert moved.tolist() == [False, True, True, False]


def test_dormant_units_are_those_that_say_little_beside_their_layer() -> None:
    module, found, gate = network()
    first, second, _ = (child for child in module if isinstance(child, SparseLinear))
    with torch.no_grad():
        first.bias.copy_(torch.tensor([5.0, -5.0, 5.0, 0.05]))
        first.weight.mul_(0.001)
    before = dense(first)
    redo = companion(ReDo, found, gate, interval=2, threshold=0.025)
    for step in range(2):
        module(torch.randn(9, 3)).sum().backward()
        redo.after_step(found)
        if step == 0:
            assert torch.equal(dense(first), before)
    assert (dense(first) != before).any(dim=1).tolist() == [False, True, False, True]
    with torch.no_grad():
        module(torch.full((9, 3), 1e6))
    assert redo._seen["network/0"].abs().max() < 1e3  # evaluation is not looked at
    assert second.weight.isfinite().all()


def test_utility_by_hand() -> None:
    """Two steps: moving averages, corrected for where they began; the least useful old unit is renewed."""
    module, found, gate = network("sgd")
    first, second, _ = (child for child in module if isinstance(child, SparseLinear))
    backprop = companion(ContinualBackprop, found, gate, rate=0.25, maturity=1)
    says = []
    outgoing = dense(second).abs().sum(dim=0)
    before = dense(first)
    for _ in range(2):
        x = torch.randn(6, 3)
        says.append(torch.relu(first(x)).detach())
        module(x).sum().backward()
        backprop.after_step(found)
    utility = torch.zeros(4)
    for one in says:
        utility = DECAY * utility + (1 - DECAY) * outgoing * one.abs().mean(dim=0)
    least = int((utility / (1 - DECAY**2)).argmin())
    assert (dense(first) != before).any(dim=1).tolist() == [unit == least for unit in range(4)]
    kept = backprop.units["network/0"]
    assert kept["age"].tolist() == [0.0 if unit == least else 2.0 for unit in range(4)]
    others = torch.arange(4) != least
    assert torch.allclose(kept["utility"][others], utility[others], rtol=1e-5)


@pytest.mark.parametrize("name", COMPANIONS)
@pytest.mark.parametrize("method", METHODS)
def test_it_goes_along_with_every_method(name: str, method: str, tmp_path: Path) -> None:
    """What no later task may change is not changed, and a run that was killed goes on as if nothing had happened."""

    class StoppedError(Exception):
        pass

    def kill(steps: int) -> None:
        if steps == 19:
            raise StoppedError

    options = {"companion": name, **MANY[name]}
    whole = run_sequence(tmp_path / "whole", method, **options)
    plain = run_sequence(tmp_path / "plain", method)
    with pytest.raises(StoppedError):
        run_sequence(tmp_path / "killed", method, progress=kill, **options)
    again = run_sequence(tmp_path / "killed", method, **options)
    for (key, one), other in zip(whole.module.state_dict().items(), again.module.state_dict().values(), strict=True):
        assert torch.equal(one, other), key
    if method == "finetune":
        assert not torch.equal(next(plain.module.parameters()), next(whole.module.parameters()))


@pytest.mark.parametrize("name", COMPANIONS)
@pytest.mark.parametrize("method", [name for name, kind in METHODS.items() if kind.never_forgets])
@pytest.mark.parametrize("sequence", [split_clusters(), permuted_clusters()], ids=lambda s: s.name)
def test_nothing_is_forgotten_for_it(name: str, method: str, sequence: ClassificationSequence) -> None:
    training = replace(SMALL, sparsity=0.5 if method in ("packnet", "wsn") else 0.0)
    learner, made = learner_and_method(method, sequence, training, companion=name, **MANY[name])
    probe = torch.randn(9, sequence.inputs, generator=torch.Generator().manual_seed(3))
    remembered: list[Tensor] = []
    for task in range(3):
        made.begin_task(task)
        learner.learn(made, lambda step: None)
        made.end_task()
        for earlier in range(task + 1):
            with made.view(earlier), torch.no_grad():
                units = learner.outputs(earlier)
                said = learner.module(probe) if units is None else learner.module(probe)[:, units]
            if earlier == task:
                remembered.append(said)
            assert torch.equal(said, remembered[earlier])


def test_biases_that_are_closed_are_left_alone() -> None:
    """The unit's own, and those of what it feeds, which other tasks compute with."""
    _, found, gate = network()
    first, second = found.trunk.values()
    gate.open = {first.bias: torch.tensor([True, False, True, True]), second.bias: torch.zeros(5, dtype=torch.bool)}
    before, above = first.bias.detach().clone(), second.bias.detach().clone()
    companion(ContinualBackprop, found, gate).renew(found, "0", torch.tensor([0, 1]), torch.tensor([2.0, 3.0]))
    assert first.bias[0] == 0
    assert torch.equal(first.bias[1:], before[1:])
    assert torch.equal(second.bias, above)


def test_unknown_companions_and_options_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown companion .rebo.\. Did you mean .redo."):
        learner_and_method("finetune", companion="rebo")
    with pytest.raises(ConfigurationError, match="option of companion 'redo' 'intervall'"):
        learner_and_method("finetune", companion="redo", redo_intervall=3)


def test_networks_without_known_activations_are_refused() -> None:
    _, found, gate = network()
    without = Network("network", found.trunk, found.heads, found.optimizer)
    with pytest.raises(ConfigurationError, match="ReDo needs an activation behind each hidden layer"):
        companion(ReDo, without, gate)
