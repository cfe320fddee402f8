"""What the recipes of Sokar et al. (2022) have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The topology stays as it is for the last 50k of the paper's 1M steps.
FROZEN_FRACTION = 0.05

PAPER_POLICY: Mapping[str, Any] = {
    "net_arch": [256, 256],
    "optimizer_kwargs": {"weight_decay": 2e-4},
    "sparsity": None,
    "distribution": "lambda_er",
    "lambdas": [7.0, 64.0],
    "dense_output": True,
    "weight_init": "inherit",
    "topology": "set",
}
