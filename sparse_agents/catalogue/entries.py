"""What a class says of itself in its docstring and its signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from docstring_parser import Docstring, DocstringStyle, parse


@dataclass(frozen=True)
class Option:
    """A keyword of a class: its name, its default as Python writes it, and what it means, in Markdown."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """What a catalogue has of a class, in Markdown.

    Attributes:
        name: by which users call for it.
        summary: one sentence.
        text: the rest of the docstring, with the paper.
        differences: see :func:`differences`.
        options: its own keywords.
    """

    name: str
    summary: str
    text: str
    differences: str
    options: tuple[Option, ...]

    @classmethod
    def of(cls, name: str, kind: type, base: type) -> Entry:
        """An entry.

        Args:
            name: by which users call for it.
            kind: the class.
            base: the class of all its kind, whose keywords are not its own.
        """
        summary = markdown(_docstring(kind).short_description or "")
        text = "\n\n".join(one for one in _paragraphs(kind) if not _tells_differences(one))
        return cls(name, summary, text, differences(kind), tuple(_options(kind, base)))


def differences(kind: type) -> str:
    """From the paper or its code, as the docstring of a class tells them; empty where it does not."""
    return "\n\n".join(filter(_tells_differences, _paragraphs(kind)))


def _tells_differences(paragraph: str) -> bool:
    return paragraph.startswith("Difference")


def _paragraphs(kind: type) -> list[str]:
    """Of the docstring, between its first line and its sections."""
    return markdown(_docstring(kind).long_description or "").split("\n\n")


def markdown(text: str) -> str:
    """Text with the markup of docstrings, in Markdown."""
    text = re.sub(r":\w+:`~?(.+?)`", r"`\1`", text)
    text = text.replace("``", "`")
    return re.sub(r"\b(github\.com/[\w./-]*\w)", r"[\1](https://\1)", text)


def _docstring(kind: type) -> Docstring:
    return parse(inspect.getdoc(kind) or "", DocstringStyle.GOOGLE)


def _options(kind: type, base: type) -> Iterator[Option]:
    """Keywords with defaults of a class and of those that it hands the rest of them to, but for the base class's.

    Raises:
        LookupError: where the docstring does not name one.
    """
    inherited = inspect.signature(base).parameters
    told: set[str] = set()
    for parent in kind.__mro__[: kind.__mro__.index(base)]:
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(vars(parent)["__init__"]).parameters.values()
        for parameter in parameters:
            meaning = _meaning(kind, parameter.name)
            if parameter.default is parameter.empty or (parameter.name in inherited and meaning is None):
                continue
            if parameter.name in told:  # by a class that has another default
                continue
            told.add(parameter.name)
            if meaning is None:
                raise LookupError(f"{kind.__name__} does not say what {parameter.name} is.")
            yield Option(parameter.name, repr(parameter.default), meaning)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return


def _meaning(kind: type, name: str) -> str | None:
    """What the nearest class says of a keyword that does not only point to another."""
    for parent in kind.__mro__:
        for said in _docstring(parent).params if "__doc__" in vars(parent) else ():
            if name in said.arg_name.split(", ") and not (said.description or "").startswith("see :class:"):
                return markdown((said.description or "").replace("\n", " "))
    return None
