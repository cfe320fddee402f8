"""Write the pages of the documentation that come from the registries and the sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_agents.catalogue.pages import PAGES
from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Arguments:
    """Write the catalogues, the page of differences from papers, and the picture of the architecture."""

    out: Path = REPOSITORY / "docs"
    """Folder of the documentation."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(Arguments, "catalogue", argv)
    for name, page in PAGES.items():
        path = arguments.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(REPOSITORY))
        print(path)


if __name__ == "__main__":
    run_command(main)
