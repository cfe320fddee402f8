"""Write the table of supported policies into docs/algorithms.md."""

from __future__ import annotations

from pathlib import Path

from sparse_agents.policies.support import support_table

PAGE = Path(__file__).parent.parent / "docs" / "algorithms.md"
BEGIN, END = "<!-- scripts/support_table.py -->\n", "<!-- end -->"


def main() -> None:
    """Entry point."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{support_table()}{END}{after}")


if __name__ == "__main__":
    main()
