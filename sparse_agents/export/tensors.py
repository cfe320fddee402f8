"""Parameters and connections in a safetensors file."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from stable_baselines3.common.base_class import BaseAlgorithm

import sparse_agents
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.runs import atomic_file


def write_tensors(model: BaseAlgorithm, path: Path) -> None:
    """Every tensor of the policy's state by its name there, sparse layers as connections.

    A sparse layer is ``weight`` ``[nnz]``, ``topology.row_ptr`` ``[rows + 1]`` and ``topology.col`` ``[nnz]``: the
    compressed sparse rows that scipy's ``csr_matrix((weight, col, row_ptr))`` and torch's ``sparse_csr_tensor`` take.
    A target network has its own copy of connections that it shares.
    """
    layer_norm = model.policy.sparse_options()["layer_norm"] if isinstance(model.policy, SparsePolicyMixin) else ()
    state = model.policy.state_dict()
    tensors = {name: value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    metadata = {
        "algorithm": type(model).__name__,
        "policy": type(model.policy).__name__,
        "observation_space": str(model.observation_space),
        "action_space": str(model.action_space),
        "layer_norm": str(list(layer_norm)),
        "timesteps": str(model.num_timesteps),
        "sparse_agents": sparse_agents.__version__,
    }
    with atomic_file(path) as draft:
        save_file(tensors, draft, metadata={"agent": json.dumps(metadata)})
