"""What the documentation shows works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pages
import pytest


@pytest.mark.pages
@pytest.mark.parametrize("page", pages.PAGES, ids=str)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    pages.prepare(tmp_path)
    command = [sys.executable, "-W", "error", pages.__file__, str(pages.REPOSITORY / page)]
    done = subprocess.run(command, cwd=tmp_path, env=pages.environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"


PAGE = """\
Text.

```python
x = 300000
```

<!-- in tests: 300000 = 3; 7 = 8 -->
```bash
train -n 300000 -x 7
```

<!-- before: model = 1 -->
```python
model + 1
```

<!-- not run: needs a cluster -->
```bash
launch
```

```text
nothing
```
"""


def test_blocks_of_a_page() -> None:
    found = list(pages.blocks(PAGE))
    assert [(block.line, block.language, block.code) for block in found] == [
        (4, "python", "x = 300000\n"),
        (9, "bash", "train -n 3 -x 8\n"),
        (14, "python", "model = 1"),
        (14, "python", "model + 1\n"),
    ]


def test_a_word_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="line 3: there is no '5' to replace"):
        list(pages.blocks("<!-- in tests: 5 = 6 -->\n```bash\nls\n```\n"))


def test_no_page_is_without_its_blocks() -> None:
    """A fence that the pattern misses would not be run."""
    for page in pages.PAGES:
        text = (pages.REPOSITORY / page).read_text()
        fences = text.count("```python\n") + text.count("```bash\n")
        assert len(list(pages.BLOCK.finditer(text))) == fences, page
