"""Matplotlib, for figures in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import output_file

FORMATS = (".svg", ".png", ".pdf")


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


def figure_file(path: Path, flag: str) -> Path:
    """Where a figure is to be written.

    Raises:
        ConfigurationError: where it cannot be, or is in no format there is.
    """
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"{flag} {path}: a figure ends in {', '.join(FORMATS)}.")
    return output_file(path, flag)


def save(figure: Any, *paths: Path) -> None:
    """Write a figure and forget it; the same figure becomes the same file. Endings choose the formats."""
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot().close(figure)
