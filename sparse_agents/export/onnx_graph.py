"""An agent as an ONNX graph."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_agents.errors import ConfigurationError
from sparse_agents.export.acting import Acting
from sparse_agents.nn import densify
from sparse_agents.runs import atomic_file

SPARSE_BELOW = 1 / 3
"""Density under which a matrix is stored by connections: values of 4 bytes and places of 8."""


def write_onnx(acting: Acting, path: Path) -> None:
    """From ``observation`` ``[batch, ...]`` to ``action`` ``[batch, ...]``, for onnxruntime and its like.

    Matrices with few connections are sparse initializers of the graph, so that the file is about as large as the
    agent; onnxruntime fills them in as it loads them, and computes densely.

    Raises:
        ConfigurationError: where onnx is not installed.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
        importlib.import_module("onnxscript")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"--format onnx needs {error.name}: pip install sparse-agents[export].") from error
    shape, dtype = acting.observation_space.shape, acting.observation_space.dtype
    assert shape is not None
    example = torch.as_tensor(np.zeros((2, *shape), dtype if dtype == np.uint8 else np.float32))
    with _quietly():
        program: Any = torch.onnx.export(
            densify(acting), (example,), dynamo=True, input_names=["observation"], output_names=["action"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    graph = program.model_proto
    _store_connections(onnx, graph.graph)
    onnx.checker.check_model(graph)
    with atomic_file(path) as draft:
        onnx.save(graph, str(draft))


def _store_connections(onnx: Any, graph: Any) -> None:
    """Replace initializers that are mostly zeros by sparse ones, in place."""
    for tensor in list(graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        places = np.flatnonzero(values)
        if values.ndim != 2 or len(places) >= SPARSE_BELOW * values.size:
            continue
        present = onnx.numpy_helper.from_array(values.reshape(-1)[places], tensor.name)
        indices = onnx.numpy_helper.from_array(places.astype(np.int64), f"{tensor.name}_places")
        graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(present, indices, list(values.shape)))
        graph.initializer.remove(tensor)


@contextlib.contextmanager
def _quietly() -> Any:
    """torch's exporter tells of its progress, and of functions of its own that it deprecates."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
