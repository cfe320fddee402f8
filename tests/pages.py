"""The code of a documentation page, as a reader would run it from top to bottom.

Blocks of Python share their names, and blocks of bash are commands; all of a page work in one folder. Comments that
readers do not see say what is otherwise in tests:

- ``<!-- in tests: 300000 = 300; 256 = 16 -->``: the next block, with these words replaced, so that it takes seconds;
- ``<!-- before: ... -->``: Python that the next block needs and readers have;
- ``<!-- not run: why -->``: what cannot be run here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(REPOSITORY) for path in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")])
BLOCK = re.compile(
    r"(?P<comments>(?:<!--(?:(?!-->).)*-->\s*)*)^```(?P<language>python|bash)\n(?P<code>.*?)^```", re.M | re.S
)
COMMENT = re.compile(r"<!-- (in tests|before|not run):\s+(.*?)\s+-->", re.S)


@dataclass(frozen=True)
class Block:
    """A piece of code to run: its line in the page, its language, and the code as it is in tests."""

    line: int
    language: str
    code: str


def blocks(page: str) -> Iterator[Block]:
    """Those of a page that are run, in order."""
    for found in BLOCK.finditer(page):
        said = dict(COMMENT.findall(found["comments"]))
        line = page[: found.start("code")].count("\n") + 1
        if "not run" in said:
            continue
        if "before" in said:
            yield Block(line, "python", said["before"])
        code = found["code"]
        for change in filter(None, said.get("in tests", "").split("; ")):
            word, _, other = change.partition(" = ")
            if word not in code:
                raise ValueError(f"line {line}: there is no {word!r} to replace")
            code = code.replace(word, other)
        yield Block(line, found["language"], code)


def run(page: Path) -> None:
    """All blocks of a page, in the working directory.

    Raises:
        Exception: of the first block that fails, its line noted.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text()):
        print(f"--- {page.name}:{block.line}\n{block.code}", flush=True)
        if block.language == "python":
            padding = "\n" * (block.line - 1)
            exec(compile(padding + block.code, str(page), "exec"), names)
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], check=True)


def environment() -> dict[str, str]:
    """With the installed commands to be found, and one thread."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


def prepare(folder: Path) -> None:
    """Put what a clone has into a folder."""
    for name in ("scripts", "docs", "examples"):
        (folder / name).symlink_to(REPOSITORY / name)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
