"""How different two topologies are, whatever their units are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.topology import Edges


def topology_distance(first: Sequence[Edges], second: Sequence[Edges]) -> list[float]:
    """Neural network sparse topology distance, layer by layer: 0 of the same graphs, 1 of those with nothing in common.

    Liu et al., "Topological Insights into Sparse Neural Networks", ECML-PKDD 2020, algorithm 1; official code
    github.com/Shiweiliuiiiiiii/Sparse_Topology_Distance. Units of a layer are matched so that the normalised edit
    distances between the sets of their inputs, ``|A xor B| / |A or B|``, are smallest in sum, and the layer's distance
    is their mean; the units' places are then those of the inputs of the layer above. O(units³) a layer.

    Args:
        first: layers of a network from its input on, each fed by the one before.
        second: those of another of the same shapes.

    Raises:
        ConfigurationError: where SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ConfigurationError("Distances need SciPy: pip install sparse-agents[experiments]") from error
    distances = []
    columns: Any = slice(None)
    for one, other in zip(first, second, strict=True):
        cost = _edit_distances(one.mask(), other.mask()[:, columns]).cpu().numpy()
        rows, matched = linear_sum_assignment(cost)
        distances.append(float(cost[rows, matched].mean()))
        columns = torch.as_tensor(matched)
    return distances


def _edit_distances(first: Tensor, second: Tensor) -> Tensor:
    """``[units, units]``, between rows of boolean matrices; 0 of two that are empty."""
    one, other = first.double(), second.double()
    both = one @ other.T
    either = one.sum(1)[:, None] + other.sum(1)[None, :] - both
    return torch.where(either > 0, 1 - both / either.clamp(min=1), torch.zeros_like(both))
