"""What the documentation shows works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sb3_helpers import build, train
from stable_baselines3 import TD3

from sparse_agents import sparsify
from sparse_agents.rules import RULES, make_rule

PAGE = Path(__file__).parent.parent / "docs" / "topology-rules.md"


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


@pytest.mark.usefixtures("registry")
def test_the_custom_rule_trains_with_td3_and_with_torch() -> None:
    (code,) = [block for block in code_blocks(PAGE) if "register(" in block]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    kwargs = {"topology": "shuffle", "topology_kwargs": {"update_interval": 2, "drop_fraction": 0.3}, "net_arch": [16]}
    model = build(TD3, policy_kwargs=kwargs)
    before = model.critic.qf0[0].topology.edges
    train(model, 3)
    assert not model.critic.qf0[0].topology.edges.same_as(before)

    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(network.parameters())
    controller = sparsify(
        network, sparsity=0.5, topology="shuffle", topology_kwargs={"update_interval": 1}, optimizer=optimizer
    )
    network(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    assert controller.connections == 40


def test_every_rule_is_in_the_table() -> None:
    table = PAGE.read_text()
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)[: len(RULES)] != []
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) >= set(RULES)
    blocked = table.split("`block_size` works on")[1].split(":")[0]
    assert set(re.findall(r"`(\w+)`", blocked)) == {name for name in RULES if make_rule(name).blocks}
