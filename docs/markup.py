"""Docstrings as Markdown, for the reference: their roles and double backticks become code."""

from __future__ import annotations

from typing import Any

import griffe

from sparse_agents.catalogue.entries import markdown


class Markup(griffe.Extension):
    """Applied to every object that is documented."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
