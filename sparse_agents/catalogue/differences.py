"""The page of what is done otherwise than in the papers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparse_agents.catalogue.algorithms import OWN
from sparse_agents.catalogue.entries import differences
from sparse_agents.catalogue.rules import shipped_rules
from sparse_agents.continual.companions import COMPANIONS
from sparse_agents.continual.methods import METHODS

HEAD = """\
# Differences from the original papers

Whoever compares results with published ones wants to know them all. Four hold for all that do not say otherwise:

- The number of connections is exact at every moment, where most published code draws each connection by itself or loses
  some to ties.
- A connection that is new starts at zero, and so do the optimizer's moments of it, where masks on dense matrices keep
  what an optimizer remembers of a weight that was away.
- Equal scores are decided by position, so that a run can be repeated.
- Sparse policies do more than lack connections: in some algorithms weights decay and steps are larger, and from 95%
  sparsity on critics may have LayerNorm ([why](learning.md)).
  `policy_kwargs=dict(optimizer_kwargs={}, layer_norm=[])` has none of it.

What is special to one of them is said in its docstring, and collected here. Those that are not named do what their
paper says, as far as we know.
"""


def differences_page() -> str:
    """Markdown, a paragraph for each algorithm, rule and method that has some to tell."""
    algorithms = {kind.__name__: kind for kind in OWN}
    parts: tuple[tuple[str, Mapping[str, type]], ...] = (
        ("Algorithms", algorithms),
        ("Topology rules", shipped_rules()),
        ("Continual learning", {**METHODS, **COMPANIONS}),
    )
    return "\n".join([HEAD, *(line for part in parts for line in _part(*part))])


def _part(heading: str, kinds: Mapping[str, type]) -> Iterator[str]:
    yield f"## {heading}\n"
    for name, kind in kinds.items():
        told = differences(kind)
        if told:
            yield f"### `{name}`\n\n{told}\n"
