"""Algorithms with a paper's recipe as their defaults."""

from sparse_agents.algorithms.ds_td3 import DSTD3

__all__ = ["DSTD3"]
