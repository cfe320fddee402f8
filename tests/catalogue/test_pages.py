"""What is written from registries and sources is what the committed pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparse_agents.catalogue.pages import PAGES
from sparse_agents.catalogue.rules import shipped_rules
from sparse_agents.cli import COMMANDS
from sparse_agents.continual.methods import METHODS
from sparse_agents.policies.registry import CLASSES
from sparse_agents.rules import RULES, Static

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_committed_pages_are_current(name: str) -> None:
    assert (REPOSITORY / "docs" / name).read_text() == PAGES[name](REPOSITORY), "run scripts/catalogue.py"


def sections(page: str) -> dict[str, str]:
    parts = re.split(r"^##+ `(.+)`$", PAGES[page](REPOSITORY), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_and_method_has_a_section_with_its_paper() -> None:
    for page, registry in (("catalogue/rules.md", shipped_rules()), ("catalogue/methods.md", METHODS)):
        found = sections(page)
        assert set(found) >= set(registry)
        without = {name for name in registry if not re.search(r"\b(19|20)\d\d\b", found[name])}
        assert without <= {"static", "finetune", "joint", "single"}, without


def test_rules_of_others_are_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PAGES["catalogue/rules.md"](REPOSITORY)
    monkeypatch.setitem(RULES, "mine", Static)
    assert "`mine`" in PAGES["catalogue/rules.md"](REPOSITORY)
    monkeypatch.setitem(RULES, "mine", type("Mine", (Static,), {"__module__": "elsewhere"}))
    assert PAGES["catalogue/rules.md"](REPOSITORY) == before


def test_every_policy_is_in_the_table() -> None:
    page = PAGES["catalogue/algorithms.md"](REPOSITORY)
    assert set(re.findall(r"`(Sparse\w+Policy)` \|", page)) == set(CLASSES)


def test_every_command_is_told_with_its_options() -> None:
    found = sections("catalogue/commands.md")
    assert list(found) == list(COMMANDS)
    assert "| `AGENT` |" in found["evaluate"]  # inherited
    assert "| `--eval-freq` | `25000` | Environment steps between evaluations; -1 for none. |" in found["train"]
    assert "| `--progress` |  |" in found["train"]  # whether there is a terminal
    assert "| `--networks` | `actor q_net` |" in found["train_sequence"]


def test_options_have_defaults_and_meanings() -> None:
    found = sections("catalogue/rules.md")
    assert "| `rounds` | `100` | n. |" in found["synflow"]
    assert "| `scope` | `'global'` |" in found["snip"]
    assert "see :class:" not in "".join(found.values())
    assert "Schedule: `update_interval=100`, `drop_fraction=0.3`, `schedule='cosine'` as published" in found["rigl"]
    assert "never changes" in found["static"]
