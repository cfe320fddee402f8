from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_agents.continual.showing import showing
from sparse_agents.nn import SparseLinear, fuse


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        SparseLinear(20, 30, sparsity=0.5), nn.ReLU(), SparseLinear(30, 10, sparsity=0.3), nn.ReLU(), nn.Linear(10, 4)
    )
    fuse(net)
    return net


def part_of(net: nn.Sequential) -> dict[SparseLinear, torch.Tensor]:
    return {layer: torch.rand(layer.topology.nnz) < 0.5 for layer in net if isinstance(layer, SparseLinear)}


def test_within_only_some_connections_are_there() -> None:
    net, x = network(), torch.randn(7, 20)
    shown = part_of(net)
    everything = net(x)
    first, second = shown
    dense = {layer: layer.topology.edges.dense(layer.weight.detach() * mask) for layer, mask in shown.items()}
    other_bias = torch.randn(30)
    with showing(shown, {first.bias: other_bias}):
        hidden = torch.relu(x @ dense[first].T + other_bias)
        hidden = torch.relu(hidden @ dense[second].T + second.bias)
        assert torch.allclose(net(x), net[-1](hidden), atol=1e-6)
        assert first.topology.nnz == int(shown[first].sum()) == first.weight.numel()
    assert torch.equal(net(x), everything)


def test_afterwards_everything_is_as_it_was_gradients_included() -> None:
    net, x = network(), torch.randn(7, 20)
    optimizer = torch.optim.Adam(net.parameters())
    net(x).sum().backward()
    optimizer.step()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    grads = {name: p.grad.clone() for name, p in net.named_parameters()}
    edges = [layer.topology.edges for layer in part_of(net)]
    with pytest.raises(RuntimeError, match="in between"), showing(part_of(net)):
        raise RuntimeError("in between")
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, grads[name]) for name, p in net.named_parameters())
    assert [layer.topology.edges for layer in part_of(net)] == edges
    net(x).sum().backward()
    optimizer.step()


def test_views_may_lie_in_views() -> None:
    net, x = network(), torch.randn(3, 20)
    shown = part_of(net)
    with showing(shown):
        inside = net(x)
        fewer = part_of(net)
        with showing(fewer):
            assert not torch.equal(net(x), inside)
        assert torch.equal(net(x), inside)
