"""Where the CUDA sources are, and what they are at the moment."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def folder() -> Path:
    """With ``cuda`` and ``include`` in it, as installed.

    Raises:
        FileNotFoundError: where the package was installed without them.
    """
    spec = importlib.util.find_spec("sparse_agents")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        found = Path(location) / "_native"
        if (found / "cuda").is_dir():
            return found
    raise FileNotFoundError("sparse_agents was installed without its CUDA sources.")


def text(name: str) -> str:
    return (folder() / "cuda" / name).read_text()


@lru_cache(maxsize=1)
def digest() -> str:
    """Of all of them, for what was compiled from others not to be taken for theirs."""
    found = hashlib.sha256()
    for path in sorted(folder().rglob("*")):
        if path.suffix in (".cu", ".h"):
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]
