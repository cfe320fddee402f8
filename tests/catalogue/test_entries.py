"""What a docstring and a signature come to."""

from __future__ import annotations

from typing import Any

import pytest

from sparse_agents.catalogue.entries import Entry, Option, markdown


class Base:
    """All of a kind."""

    def __init__(self, *, seed: int = 0) -> None: ...


class Parent(Base):
    """A parent.

    Args:
        depth: how deep, ``d``.
    """

    def __init__(self, *, depth: int = 2, height: str = "b", **kwargs: Any) -> None: ...


class Child(Parent):
    """One line says it.

    Somebody, "Something", 2020; github.com/somebody/something, see :class:`Parent`.

    Differences from the paper: none of note.

    Args:
        width, height: in cells.
        depth: see :class:`Parent`.
    """

    def __init__(self, width: int, *, height: str = "a", **kwargs: Any) -> None: ...


class Mute(Base):
    """Says nothing of its options."""

    def __init__(self, *, loud: bool = False) -> None: ...


def test_an_entry_is_what_the_class_says() -> None:
    entry = Entry.of("child", Child, Base)
    assert entry.summary == "One line says it."
    link = "[github.com/somebody/something](https://github.com/somebody/something)"
    assert entry.text == f'Somebody, "Something", 2020; {link}, see `Parent`.'
    assert entry.differences == "Differences from the paper: none of note."
    assert entry.options == (Option("height", "'a'", "in cells."), Option("depth", "2", "how deep, `d`."))


def test_an_option_without_a_word_is_refused() -> None:
    with pytest.raises(LookupError, match="Mute does not say what loud is"):
        Entry.of("mute", Mute, Base)


def test_markup() -> None:
    assert markdown("``x`` of :class:`A` and :meth:`~A.b`") == "`x` of `A` and `A.b`"
