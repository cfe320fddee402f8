"""Matplotlib, for figures in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparse_agents.errors import ConfigurationError


def pyplot() -> Any:
    """``matplotlib.pyplot``, without a display."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigurationError("Figures need matplotlib: pip install sparse-agents[plot]") from error
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "sparse_agents"
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, *paths: Path) -> None:
    """Write a figure and forget it; the same figure becomes the same file. Endings choose the formats."""
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot().close(figure)
