"""Matplotlib, for figures in files."""

from __future__ import annotations

from typing import Any

from sparse_agents.errors import ConfigurationError


def pyplot() -> Any:
    """``matplotlib.pyplot``; the same figure becomes the same file."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigurationError("Figures need matplotlib: pip install sparse-agents[plot]") from error
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "sparse_agents"
    from matplotlib import pyplot as plt

    return plt
