"""The page of continual-learning methods."""

from __future__ import annotations

from collections.abc import Iterator

from sparse_agents.catalogue.entries import Entry
from sparse_agents.catalogue.tables import table, title
from sparse_agents.continual.companions import COMPANIONS, Companion
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import METHODS

HEAD = """\
# Catalogue of continual-learning methods

Each is one word, `--method packnet`, with `--options name:value`. [Continual learning](../continual.md) shows what they
do over the same tasks.
"""
BESIDE = """\
## Companions

`--companion redo` keeps units able to learn beside any method, with its name before its options:
`--options redo_interval:500`.
"""


def methods_page() -> str:
    """Markdown, a section for each method and each companion."""
    methods = ["\n".join(_method(name, kind)) for name, kind in METHODS.items()]
    companions = ["\n".join(_companion(name, kind)) for name, kind in COMPANIONS.items()]
    return "\n".join([HEAD, *methods, BESIDE, *companions])


def _method(name: str, kind: type[ContinualMethod]) -> Iterator[str]:
    entry = Entry.of(name, kind, ContinualMethod)
    yield from title(entry, kind)
    yield "- Is told which task it is." if kind.needs_identity else "- Answers without being told the task, too."
    if kind.never_forgets:
        yield "- Forgets nothing: what it says of a task, told which, keeps its bits."
    yield f"- Cannot train agents: {kind.no_agents}." if kind.no_agents else "- For classifiers and for agents."
    yield ""
    yield from table(entry)


def _companion(name: str, kind: type[Companion]) -> Iterator[str]:
    entry = Entry.of(name, kind, Companion)
    yield from title(entry, kind, "###")
    yield from table(entry)
