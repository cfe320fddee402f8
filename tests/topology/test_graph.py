"""The holder whose edges are swapped."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle

import pytest
import torch
from helpers import random_graph

from sparse_agents import CheckpointError, Topology


def test_replace_swaps_edges_and_buffers_together() -> None:
    topology = Topology(random_graph(4, 6, 0.5, seed=1))
    other = random_graph(4, 6, 0.3, seed=2)
    topology.replace(other)
    assert topology.edges is other
    assert topology.nnz == other.nnz
    assert topology.state_dict()["row_ptr"] is not None
    assert torch.equal(topology.state_dict()["col"], other.col)


def test_replace_refuses_another_shape() -> None:
    topology = Topology(random_graph(4, 6, 0.5))
    with pytest.raises(ValueError, match=r"\(4, 6\) cannot take edges of shape \(6, 4\)"):
        topology.replace(random_graph(6, 4, 0.5))


def test_state_of_another_number_of_connections_loads() -> None:
    saved, topology = Topology(random_graph(4, 6, 0.8, seed=1)), Topology(random_graph(4, 6, 0.2, seed=2))
    topology.load_state_dict(saved.state_dict())
    assert topology.edges.same_as(saved.edges)
    assert torch.equal(topology.row_ptr, saved.row_ptr)


def test_loaded_topology_does_not_share_memory_with_the_state() -> None:
    state = {key: value.clone() for key, value in Topology(random_graph(4, 6, 0.8)).state_dict().items()}
    topology = Topology(random_graph(4, 6, 0.2))
    topology.load_state_dict(state)
    col = topology.edges.col.clone()
    state["col"].zero_()
    assert torch.equal(topology.edges.col, col)


def test_damaged_state_is_refused_and_leaves_the_edges() -> None:
    topology = Topology(random_graph(4, 6, 0.5))
    before = topology.edges
    state = {key: value.clone() for key, value in topology.state_dict().items()}
    state["col"][0] = 6
    with pytest.raises(CheckpointError, match="a column outside"):
        topology.load_state_dict(state)
    assert topology.edges is before


@pytest.mark.parametrize("missing", ["row_ptr", "col"])
@pytest.mark.parametrize("strict", [True, False])
def test_half_a_state_leaves_the_edges_as_they_were(missing: str, strict: bool) -> None:
    """Edges never change: also not by one array being copied over theirs without the other."""
    topology = Topology(random_graph(5, 6, 0.5, seed=1))
    edges = topology.edges
    before = edges.row_ptr.clone(), edges.col.clone()
    state = {key: torch.zeros_like(value) for key, value in topology.state_dict().items() if key != missing}
    with contextlib.suppress(RuntimeError, CheckpointError):
        topology.load_state_dict(state, strict=strict)
    assert torch.equal(edges.row_ptr, before[0])
    assert torch.equal(edges.col, before[1])


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_are_whole_and_independent(how: str) -> None:
    topology = Topology(random_graph(5, 6, 0.5))
    topology.edges.transpose  # noqa: B018  a cached view goes with it
    if how == "deepcopy":
        twin = copy.deepcopy(topology)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(topology))
    else:
        file = io.BytesIO()
        torch.save(topology, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    assert twin.edges is not topology.edges
    assert twin.edges.same_as(topology.edges)
    assert twin.col is twin.edges.col
    twin.replace(random_graph(5, 6, 0.1))
    assert topology.nnz != twin.nnz


def test_conversion_to_another_dtype_leaves_the_indices() -> None:
    topology = Topology(random_graph(5, 6, 0.5))
    edges = topology.edges
    topology.double()
    assert topology.edges is edges
    assert topology.col.dtype == torch.int32
