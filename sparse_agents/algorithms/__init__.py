"""Algorithms with a paper's recipe as their defaults."""

from sparse_agents.algorithms.ds_sac import DSSAC
from sparse_agents.algorithms.ds_td3 import DSTD3
from sparse_agents.algorithms.run_length import end_with_the_run

__all__ = ["DSSAC", "DSTD3", "end_with_the_run"]
