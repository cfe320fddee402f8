"""What works with what, as a table for people: from the registry, which is what the tests run over."""

from __future__ import annotations

from sparse_agents.policies.registry import ALIASES


def support_table() -> str:
    """Markdown, a line per policy."""
    lines = ["| algorithm | policy | class in `sparse_agents.policies` | rules |", "|---|---|---|---|"]
    for algorithm, aliases in sorted(ALIASES.items(), key=lambda item: item[0].__name__.lower()):
        for alias, kind in aliases.items():
            rules = "all" if "Mlp" in alias else "all but `ctre`, `synflow`"
            rules = "`static`" if kind.bypasses_optimizer else rules
            lines.append(f'| {algorithm.__name__} | `"{alias}"` | `{kind.__name__}` | {rules} |')
    return "\n".join(lines) + "\n"
