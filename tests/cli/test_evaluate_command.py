"""The evaluate command on films and on sequences; tests/cli/test_commands.py has the rest."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train_sequence import AGENT, IMAGES

from sparse_agents import DSTD3
from sparse_agents.cli import run_command
from sparse_agents.cli.evaluate import main
from sparse_agents.cli.train_sequence import main as train_sequence
from sparse_agents.continual.records import read_records

SCREEN = """
import gymnasium as gym
import numpy as np


class Screen(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space, action_space = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Box(-1, 1, (1,))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 6
        return self.observation_space.sample(), {}

    def step(self, action):
        self.left -= 1
        return self.observation_space.sample(), 1.0, self.left == 0, False, {}

    def render(self):
        return np.full((32, 48, 3), 40 * self.left, np.uint8)


gym.register("Screen-v0", Screen)
"""


def read(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    run_command(main, [*arguments, "--json"])
    found: dict = json.loads(capsys.readouterr().out)
    return found


def evaluated(folder: Path, module: str, env: str) -> subprocess.CompletedProcess[str]:
    """With a film, of an agent that was not trained."""
    policy = "{'sparsity': 0.5}"
    make = f"import {module}; from sparse_agents import DSTD3; "
    make += f"DSTD3('SparseMlpPolicy', '{env}', policy_kwargs={policy}, buffer_size=9).save('a')"
    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True)
    command = [sys.executable, "-m", "sparse_agents.cli", "evaluate", "a.zip", "--algo", "ds_td3", "--env", env]
    command += ["--gym-packages", module, "-n", "2", "--video", "films", "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)


def test_a_video_of_every_episode(tmp_path: Path) -> None:
    (tmp_path / "screen.py").write_text(SCREEN)
    done = evaluated(tmp_path, "screen", "Screen-v0")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["returns"] == [6.0, 6.0]
    assert told["videos"] == [f"films/Screen-v0-episode-{index}.mp4" for index in range(2)]
    assert all((tmp_path / video).read_bytes()[4:8] == b"ftyp" for video in told["videos"])


def test_every_task_of_a_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for settings, method in ((IMAGES, "er"), (AGENT, "packnet")):
        train_sequence([*settings, "--log-folder", str(tmp_path)])
        (file,) = tmp_path.glob(f"*/*{method}/seed_0/evaluations.csv")
        told = read([str(file.parent), "-n", "1"], capsys)
        last = read_records(file)
        last = last[last["step"] == last["step"].max()]
        assert told["learned"] == len(told["tasks"]) == last["task"].max() + 1
        for identity, scores in told["scores"].items():
            np.testing.assert_allclose(scores, last[last["identity"] == identity]["score"].tail(len(scores)), rtol=1e-6)
        run_command(main, [str(file.parent), "-n", "1"])
        assert f"{told['learned']} tasks learned" in capsys.readouterr().out


def test_what_is_for_single_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.yml").write_text("sequence: split-digits\nmethod: er\n")
    for flags, says in (
        (["--video", "films"], "--video is for a single agent"),
        (["--stochastic"], "--stochastic is for a single agent"),
        ([], "has no checkpoint yet"),
    ):
        with pytest.raises(SystemExit) as stopped:
            run_command(main, [str(tmp_path), *flags])
        assert stopped.value.code == 2
        assert says in capsys.readouterr().err
    (tmp_path / "settings.yml").write_text("nonsense: 1\n")
    with pytest.raises(SystemExit):
        run_command(main, [str(tmp_path)])
    assert "does not hold settings" in capsys.readouterr().err


def test_what_does_not_draw_itself_is_named(tmp_path: Path) -> None:
    blind = SCREEN.replace("Screen", "Blind").replace("render_mode=None", "").replace("= render_mode", "= None")
    (tmp_path / "blind.py").write_text(blind)
    done = evaluated(tmp_path, "blind", "Blind-v0")
    assert done.returncode == 2
    assert "error: Blind-v0 does not draw itself" in done.stderr


def test_ctrl_c_tells_of_the_episodes_that_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DSTD3(env="Pendulum-v1", buffer_size=9, policy_kwargs={"sparsity": 0.5})
    model.save(tmp_path / "agent")
    steps = itertools.count(1)

    def predict(*arguments: Any, **given: Any) -> Any:
        if next(steps) > 2 * 200 + 50:  # in the third episode
            raise KeyboardInterrupt
        return untouched(*arguments, **given)

    untouched = DSTD3.predict
    monkeypatch.setattr(DSTD3, "predict", predict)
    with pytest.raises(SystemExit) as stopped:
        run_command(
            main, [str(tmp_path / "agent.zip"), "--algo", "ds_td3", "--env", "Pendulum-v1", "-n", "5", "--json"]
        )
    assert stopped.value.code == 130
    told = json.loads(capsys.readouterr().out)
    assert (told["episodes"], told["lengths"]) == (2, [200, 200])
    assert told["mean_return"] == pytest.approx(np.mean(told["returns"]))
