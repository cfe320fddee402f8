"""The page of topology rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparse_agents.catalogue.entries import Entry
from sparse_agents.catalogue.tables import settings, table, title
from sparse_agents.policies.base import TOPOLOGY_DEFAULTS
from sparse_agents.rules import RULES, TopologyRule

HEAD = """\
# Catalogue of topology rules

Each is one word, `topology="rigl"`, and its options go into `topology_kwargs` beside those of the
[schedule](../topology-rules.md#when). Beside the paper's schedule stands what policies use in its place: updates are
rarer in reinforcement learning. [Topology rules](../topology-rules.md) compares them, by what they need, cost and
learn.
"""
NEEDS: Mapping[str, str] = {
    "needs_dense_gradient": "the gradient of absent connections, a tile at a time",
    "needs_curvature": "one product with the Hessian",
    "every_step": "work at every optimizer step",
    "ramps": "`end`, for the number of connections changes on the way",
}
"""What rules declare, and how it is said."""


def shipped_rules() -> Mapping[str, type[TopologyRule]]:
    """Those of the library, and none that somebody has registered besides."""
    return {name: rule for name, rule in RULES.items() if rule.__module__.startswith("sparse_agents.")}


def rules_page() -> str:
    """Markdown, a section for each rule."""
    return "\n".join([HEAD, *(_section(name, rule) for name, rule in shipped_rules().items())])


def _section(name: str, rule: type[TopologyRule]) -> str:
    entry = Entry.of(name, rule, TopologyRule)
    return "\n".join([*title(entry, rule), *_facts(rule), "", *table(entry)])


def _facts(rule: type[TopologyRule]) -> Iterator[str]:
    needs = [said for flag, said in NEEDS.items() if getattr(rule, flag)]
    if needs:
        yield f"- Needs {'; '.join(needs)}."
    if rule.replaces_step:
        yield "- Its update takes the place of that optimizer step."
    if rule.competes:
        yield "- Connections of different layers compete for places."
    if rule.blocks:
        yield "- Works with `block_size`, too."
    if not rule.dynamic:
        yield "- The topology never changes once training has begun."
    elif rule.timed:
        in_policies = {**TOPOLOGY_DEFAULTS, **rule.reinforcement}
        yield f"- Schedule: {settings(rule.published)} as published; {settings(in_policies)} in policies."
