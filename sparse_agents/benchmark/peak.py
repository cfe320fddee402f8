"""Resident memory of this process. On Linux with glibc only."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path


def settled() -> int:
    """Resident bytes once free memory is given back; the peak starts anew from there."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Resident bytes at the highest since :func:`settled`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
