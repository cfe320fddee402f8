"""What works with what, as a table: from the registry, which is what the tests run over."""

from __future__ import annotations

from sparse_agents.policies.registry import ALIASES, SparseClass


def support_table() -> str:
    """Markdown, a line per policy."""
    lines = ["| algorithm | policy | class in `sparse_agents.policies` | rules |", "|---|---|---|---|"]
    for algorithm, aliases in sorted(ALIASES.items(), key=lambda item: item[0].__name__.lower()):
        for alias, kind in aliases.items():
            lines.append(f'| {algorithm.__name__} | `"{alias}"` | `{kind.__name__}` | {_rules(kind, alias)} |')
    return "\n".join(lines) + "\n"


def _rules(kind: SparseClass, alias: str) -> str:
    if kind.bypasses_optimizer:
        return "`static`"
    if "Mlp" not in alias:
        return "all but `ctre`, `synflow`"
    return "all but `synflow`" if "Lstm" in alias else "all"
