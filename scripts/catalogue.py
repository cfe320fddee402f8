"""Write the pages of the documentation that come from the registries and the sources."""

from __future__ import annotations

from pathlib import Path

from sparse_agents.catalogue.pages import PAGES

REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Entry point."""
    for name, page in PAGES.items():
        path = REPOSITORY / "docs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(REPOSITORY))
        print(path)


if __name__ == "__main__":
    main()
