"""The page about runs, looked at by a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_plotting import write_run

from sparse_agents.cli import run_command
from sparse_agents.cli.report import main
from sparse_agents.cli.train import main as train

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COUNTING = """<script>addEventListener("load", () => {
  const images = [...document.images];
  document.title = `${images.length} images, ${images.filter(one => one.naturalWidth > 100).length} of them drawn`;
});</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a trained agent and of a dense one whose model is gone."""
    folder = tmp_path_factory.mktemp("report")
    given = ["learning_starts:50", "buffer_size:1000", "policy_kwargs:{'net_arch':[24,24],'sparsity':0.8}"]
    train(["--env", "Pendulum-v1", "-n", "150", "--eval-freq", "50", "--eval-episodes", "1", "--verbose", "0",
           "--log-folder", str(folder / "logs"), "--hyperparams", *given])  # fmt: skip
    for seed in range(2):
        run = write_run(
            folder / "logs", "Pendulum-v1", seed, [-9.0, -8, -7], "MlpPolicy", note="<script>alert(1)</script>"
        )
        with np.load(run / "evaluations.npz") as history:
            results = history["results"]
        np.savez(run / "evaluations.npz", timesteps=np.array([50, 100, 150]), results=results)
    run_command(main, [str(folder / "logs"), "--by", "policy", "--out", str(folder / "page.html"), "--last", "2"])
    return folder / "page.html"


def test_it_says_what_there_is_to_say(page: Path) -> None:
    text = page.read_text()
    for part in ("MlpPolicy", "SparseMlpPolicy", "-7.5 [-7.5, -7.5], 2 seeds", "80.0%", "actor.mu.2, 24 → 24", "150",
                 "(Pendulum-v1, seed 0)"):  # fmt: skip
        assert part in text, part
    assert "<script>" not in text  # settings are text
    assert "&lt;script&gt;" in text


def test_it_needs_no_other_file(page: Path) -> None:
    text = page.read_text()
    addresses = re.findall(r'(?:src|href)="([^"]{0,20})', text)
    assert len(addresses) > 5
    assert all(address.startswith("data:image/") for address in addresses)
    assert "url(" not in text


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_browser_draws_all_pictures(page: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text().replace("</body>", COUNTING))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    command = [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)
    layers = 2 * 3  # hidden ones of an actor and two critics; the paper's outputs are dense
    assert f"<title>{layers + 1} images, {layers + 1} of them drawn</title>" in done.stdout


def test_what_is_left_out_and_what_is_not_enough_is_said(tmp_path: Path) -> None:
    for seed, returns in enumerate(([1.0, 2.0], [1.0])):
        write_run(tmp_path, "Easy-v0", seed, returns)
    run_command(main, [str(tmp_path), "--out", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text()
    assert "Easy-v0_2, last evaluated at step 1,000." in text
    assert "fewer evaluations than 5" in text
    assert "1.5, 1 seed<" in text


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "Easy-v0", 0, [1.0])
    refused = (
        (["--last", "0"], "--last 0"),
        (["--out", "/proc/page.html"], "--out /proc/page.html: cannot write there"),
        (["--out", str(tmp_path)], "is a folder"),
    )
    for flags, says in refused:
        with pytest.raises(SystemExit) as stopped:
            run_command(main, [str(tmp_path), *flags])
        assert stopped.value.code == 2
        assert says in capsys.readouterr().err
