"""Which kernels run a chain of layers."""

from __future__ import annotations

from collections.abc import Sequence

from sparse_agents.ops.cuda.geometry import fits_a_block
from sparse_agents.ops.cuda.kernel import Launcher
from sparse_agents.ops.cuda.layered import LayeredNetwork
from sparse_agents.ops.cuda.network import CudaNetwork
from sparse_agents.ops.cuda.rows import FindRows, Rows
from sparse_agents.ops.cuda.small import SmallNetwork
from sparse_agents.topology import Edges


def cuda_network(
    edges: Sequence[Edges], activations: Sequence[str], launcher: Launcher, rows: FindRows = Rows.of
) -> CudaNetwork:
    """Small networks go through all their layers in one launch, others layer by layer."""
    heights = [edges[0].shape[1], *(e.shape[0] for e in edges)]
    small = fits_a_block(heights, sum(e.nnz for e in edges), launcher.processor)
    return (SmallNetwork if small else LayeredNetwork)(edges, activations, launcher, rows)
