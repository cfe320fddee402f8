"""Sparse products in pure torch: O(connections) memory, differentiable any number of times.

The oracle of the tests, the fallback where no kernel library is at hand, and the path of second
derivatives. Matrices are feature-major here, ``[features, batch]``.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from sparse_agents.topology import Edges

CHUNK_ELEMENTS = 1 << 22


def _csr(edges: Edges, values: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(edges.row_ptr, edges.col, values, edges.shape, check_invariants=False)


def _csc_as_csr(edges: Edges, values: Tensor) -> Tensor:
    t = edges.transpose
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        shape = (edges.shape[1], edges.shape[0])
        return torch.sparse_csr_tensor(t.col_ptr, t.row, values[t.slot], shape, check_invariants=False)


def _sampled(edges: Edges, a: Tensor, b: Tensor) -> Tensor:
    """``out[k] = a[row[k]] . b[col[k]]``, in chunks that bound the memory."""
    out = a.new_empty(edges.nnz)
    step = max(1, CHUNK_ELEMENTS // max(a.shape[1], 1))
    for k in range(0, edges.nnz, step):
        chunk = slice(k, k + step)
        out[chunk] = (a[edges.row[chunk]] * b[edges.col[chunk].to(torch.int64)]).sum(1)
    return out


# Each of the three products is linear in both arguments, and its derivatives are the other two.


class _MatMul(torch.autograd.Function):
    """``W x``: weight [nnz], x [in, batch] -> [out, batch]."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, weight: Tensor, x: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, x)
        return _csr(edges, weight) @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        (grad,) = grads
        return (
            None,
            _Sampled.apply(ctx.edges, grad, x) if ctx.needs_input_grad[1] else None,
            _TransposedMatMul.apply(ctx.edges, weight, grad) if ctx.needs_input_grad[2] else None,
        )


class _TransposedMatMul(torch.autograd.Function):
    """``Wᵀ y``: weight [nnz], y [out, batch] -> [in, batch]."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, weight: Tensor, y: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, y)
        return _csc_as_csr(edges, weight) @ y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, y = ctx.saved_tensors
        (grad,) = grads
        return (
            None,
            _Sampled.apply(ctx.edges, y, grad) if ctx.needs_input_grad[1] else None,
            _MatMul.apply(ctx.edges, weight, grad) if ctx.needs_input_grad[2] else None,
        )


class _Sampled(torch.autograd.Function):
    """``(y xᵀ)`` at the connections: y [out, batch], x [in, batch] -> [nnz]."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, y: Tensor, x: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(y, x)
        return _sampled(edges, y, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, x = ctx.saved_tensors
        (grad,) = grads
        return (
            None,
            _MatMul.apply(ctx.edges, grad, x) if ctx.needs_input_grad[1] else None,
            _TransposedMatMul.apply(ctx.edges, grad, y) if ctx.needs_input_grad[2] else None,
        )


def matmul(edges: Edges, weight: Tensor, x: Tensor) -> Tensor:
    """``W x`` with ``W`` the layer's sparse weight. ``x``: [in_features, batch] -> [out_features, batch]."""
    return torch.as_tensor(_MatMul.apply(edges, weight, x))


def sampled(edges: Edges, y: Tensor, x: Tensor) -> Tensor:
    """The entries of ``y xᵀ`` at the connections, ``[nnz]``."""
    return torch.as_tensor(_Sampled.apply(edges, y, x))


def transposed_matmul(edges: Edges, weight: Tensor, y: Tensor) -> Tensor:
    """``Wᵀ y``: [out_features, batch] -> [in_features, batch]."""
    return torch.as_tensor(_TransposedMatMul.apply(edges, weight, y))
