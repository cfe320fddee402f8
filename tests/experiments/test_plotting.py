"""Runs beside each other: which belong together, what they come to, and the figures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sparse_agents.cli import run_command
from sparse_agents.cli.plot import main
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.aggregates import aggregate, improvement, profiles, scale_by, scores_of
from sparse_agents.experiments.collection import along_sparsity, by_label, collect, of_length

STEPS = (1000, 2000, 3000, 4000)


def write_run(
    root: Path,
    env: str,
    seed: int,
    returns: list[float],
    policy: str = "SparseMlpPolicy",
    finished: bool = False,
    **config: Any,
) -> Path:
    """A run folder as the train command leaves one, but for its model."""
    parent = root / "td3"
    folder = parent / f"{env}_{len(list(parent.glob(f'{env}_*'))) + 1}"
    (folder / env).mkdir(parents=True)
    (folder / env / "args.yml").write_text(yaml.safe_dump({"algo": "td3", "env": env, "seed": seed}))
    (folder / env / "config.yml").write_text(yaml.safe_dump({"policy": policy, **config}))
    results = np.array([[value - 1, value, value + 1] for value in returns])
    np.savez(folder / "evaluations.npz", timesteps=np.array(STEPS[: len(returns)]), results=results)
    if finished:
        (folder / f"{env}.zip").touch()
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two sparsities and dense, two environments, three seeds; sparsity costs a tenth at 0.9, a half at 0.99."""
    for env, seed, (part, kwargs) in itertools.product(
        ("Easy-v0", "Hard-v0"), range(3), ((1.0, None), (0.9, 0.9), (0.5, 0.99))
    ):
        top = part * (100 if env == "Easy-v0" else 1000) * (1 + 0.01 * seed)
        policy = "MlpPolicy" if kwargs is None else "SparseMlpPolicy"
        config = {} if kwargs is None else {"policy_kwargs": {"sparsity": kwargs, "net_arch": [8, 8]}}
        write_run(tmp_path, env, seed, [0.0, top / 2, top, top], policy, **config)
    return tmp_path


def plot(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    run_command(main, [*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of them, for tests to take seconds."""
    monkeypatch.setattr("sparse_agents.experiments.intervals.RESAMPLES", 200)


def test_the_command(sweep: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "figures"
    out.mkdir()
    (out / "of_an_earlier_call.png").write_text("not ours")
    dense = "MlpPolicy, sparsity default"
    told = plot(
        [str(sweep), "--by", "policy", "sparsity", "--baseline", dense, "--last", "2", "--out", str(out)], capsys
    )
    names = {Path(figure).stem for figure in told["figures"]}
    assert names == {"curves", "aggregates", "profiles", "improvement", "sparsity"}
    for figure in told["figures"]:
        head = Path(figure).read_bytes()[:5]
        assert head in (b"\x89PNG\r", b"<?xml")
    scores = told["aggregates"]
    assert scores[dense]["mean"][0] == pytest.approx(1)
    assert scores["SparseMlpPolicy, sparsity 0.9"]["IQM"][0] == pytest.approx(0.9)
    assert scores["SparseMlpPolicy, sparsity 0.99"]["mean"][0] == pytest.approx(0.5)
    low, high = scores["SparseMlpPolicy, sparsity 0.99"]["mean"][1:]
    assert 0.49 < low < 0.5 < high < 0.51
    assert told["returns"]["SparseMlpPolicy, sparsity 0.9"]["Hard-v0"]["2"] == pytest.approx(918)
    run_command(main, [str(sweep), "--by", "policy", "sparsity", "--out", str(out)])
    assert "sparsity 0.99" in capsys.readouterr().out


def test_one_run_alone_and_runs_that_are_all_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Returns are negative, and nobody learns: there is nothing to scale by."""
    lost = [-200.0] * 4
    write_run(tmp_path, "Car-v0", 0, lost, policy_kwargs={"sparsity": 0.5})
    alone = plot([str(tmp_path), "--out", str(tmp_path / "one")], capsys)
    assert {Path(figure).stem for figure in alone["figures"]} == {"curves"}
    write_run(tmp_path, "Car-v0", 0, lost, policy_kwargs={"sparsity": 0.9})
    both = plot([str(tmp_path), "--out", str(tmp_path / "two")], capsys)
    assert [of_label["mean"][0] for of_label in both["aggregates"].values()] == [1, 1]


def test_ctrl_c_leaves_the_figures_that_are_drawn(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparse_agents.cli.plot.draw_profiles", interrupted)
    out = tmp_path / "figures"
    with pytest.raises(SystemExit) as stopped:
        run_command(main, [str(sweep), "--by", "policy", "sparsity", "--out", str(out)])
    assert stopped.value.code == 130
    assert {path.name for path in out.iterdir()} == {
        "curves.png", "curves.svg", "aggregates.png", "aggregates.svg"
    }  # fmt: skip


def test_labels_are_what_runs_differ_in(sweep: Path) -> None:
    labels = by_label(collect([sweep]))
    assert [len(runs) for runs in labels.values()] == [6, 6, 6]
    assert all("sparsity" in label for label in labels)
    assert not any("env" in label or "seed" in label for label in labels)
    assert list(by_label(collect([sweep / "td3" / "Easy-v0_1"]))) == ["td3"]


def test_lines_over_sparsity_are_what_else_runs_differ_in(sweep: Path) -> None:
    assert {name: len(runs) for name, runs in along_sparsity(collect([sweep])).items()} == {"sparse": 12, "dense": 6}
    for seed, sparsity in itertools.product(range(2), (0.9, 0.99)):
        kwargs = {"sparsity": sparsity, "net_arch": [8, 8], "topology": "rigl"}
        write_run(sweep, "Easy-v0", seed, [0.0, 1.0, 2.0, 3.0], policy_kwargs=kwargs)
    write_run(sweep, "Easy-v0", 0, [0.0, 1.0, 2.0, 3.0], policy_kwargs={"sparsity": {"actor": 0.5, "critic": 0.9}})
    runs = collect([sweep])
    lines = along_sparsity(runs, ["topology", "sparsity"])
    assert {name: len(runs) for name, runs in lines.items()} == {
        "topology default": 12, "topology rigl": 4, "dense": 6,
    }  # fmt: skip
    assert {run.sparsity for run in lines["topology rigl"]} == {0.9, 0.99}


def test_the_same_run_made_twice_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path, "Easy-v0", 0, [1, 2])
    write_run(tmp_path, "Easy-v0", 0, [1, 2, 3])
    (run,) = collect([tmp_path, tmp_path])
    assert run.steps == 3000


def test_runs_that_are_shorter_than_others_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, returns in enumerate(([1.0, 2, 3, 4], [5.0, 6, 7, 8], [9.0, 10])):
        write_run(tmp_path, "Easy-v0", seed, returns)
    kept, left = of_length(collect([tmp_path]), None)
    assert ([run.seed for run in kept], [run.seed for run in left]) == ([0, 1], [2])
    kept, left = of_length(collect([tmp_path]), 2000)
    assert ([run.steps for run in kept], left) == ([2000] * 3, [])
    told = plot([str(tmp_path), "--out", str(tmp_path / "p")], capsys)
    assert told["returns"] == {"td3": {"Easy-v0": {"0": 2.5, "1": 6.5}}}


def test_a_longer_run_that_is_not_finished_sends_none_away(tmp_path: Path) -> None:
    for seed, (returns, finished) in enumerate((([1.0, 2], True), ([3.0, 4, 5], False), ([6.0], False))):
        write_run(tmp_path, "Easy-v0", seed, returns, finished=finished)
    kept, left = of_length(collect([tmp_path]), None)
    assert [(run.seed, run.steps) for run in kept] == [(0, 2000), (1, 2000)]
    assert [run.seed for run in left] == [2]


def test_of_single_runs_there_are_no_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sparsity in (0.5, 0.9):
        write_run(tmp_path, "Easy-v0", 0, [1.0, 100 * sparsity], policy_kwargs={"sparsity": sparsity})
    run_command(main, [str(tmp_path), "--out", str(tmp_path / "p")])
    said = capsys.readouterr()
    assert "of 1 seed, no intervals" in " ".join(said.out.split())
    assert str(tmp_path / "p" / "sparsity.png") in said.out.splitlines()
    assert "(1 seed)" in said.out
    assert "2 of 2 runs have fewer evaluations" in said.err
    assert not list(tmp_path.rglob("improvement*"))


@pytest.mark.parametrize("damage", [lambda file: file[: len(file) // 2], lambda _: b"", lambda _: b"no zip"])
def test_damaged_evaluations_are_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = write_run(tmp_path, "Easy-v0", 0, [1.0, 2]) / "evaluations.npz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match=r"evaluations\.npz is damaged"):
        collect([tmp_path])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--out", "/proc/p"], "--out /proc/p: cannot write there"),
        (["--by", "sparsty"], "Unknown setting 'sparsty'. Did you mean"),
        (["--by", "policy"], "tell them apart by 'policy_kwargs.sparsity', too"),
        (["--baseline", "dense"], "Unknown baseline 'dense'"),
        (["--last", "0"], "--last 0"),
        (["--steps", "5000"], "--steps 5000: no run is as long"),
        (["--steps", "0"], "--steps 0: at least 1"),
        (["--steps", "1"], "--steps 1: some runs were not evaluated before"),
    ],
)
def test_bad_flags(sweep: Path, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_command(main, [str(sweep), *flags])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        collect([tmp_path / "nowhere"])
    with pytest.raises(ConfigurationError, match="Name run folders"):
        collect([])
    with pytest.raises(ConfigurationError, match="No run that has been evaluated"):
        collect([tmp_path])
    folder = write_run(tmp_path, "Easy-v0", 0, [1])
    (folder / "Easy-v0" / "config.yml").write_text("- nothing")
    with pytest.raises(CheckpointError, match="are damaged"):
        collect([tmp_path])


def test_scores_by_hand() -> None:
    returns = {
        "a": {"up": {0: 10.0, 1: 30.0}, "down": {0: -100.0, 1: -300.0, 2: 5.0}},
        "b": {"up": {0: 40.0, 1: 40.0}, "down": {0: -500.0, 1: -500.0}},
        "c": {"up": {0: 1000.0}},
    }
    scale = scale_by(returns, "a")
    assert scale.low == {"up": 0, "down": -500}
    assert scale.high["up"] == 20
    scores = scores_of(returns, scale)
    assert list(scores) == ["a", "b"]  # of c an environment is missing; of a's third seed, too
    high = -395 / 3
    expected = [[400 / (500 + high), 10 / 20], [200 / (500 + high), 30 / 20]]
    np.testing.assert_allclose(scores["a"], expected)
    np.testing.assert_allclose(scores["b"], [[0, 2], [0, 2]])
    with pytest.raises(ConfigurationError, match="has no run on down"):
        scale_by(returns, "c")


def test_aggregates_by_hand() -> None:
    scores = {"one": np.array([[1.0, 4.0], [2.0, 100.0], [3.0, 6.0], [0.0, 8.0]]), "same": np.full((4, 2), 3.0)}
    found = aggregate(scores)
    assert found["one"]["IQM"].mean == pytest.approx((2 + 3 + 4 + 6) / 4)
    assert found["one"]["mean"].mean == pytest.approx(124 / 8)
    assert found["one"]["median"].mean == pytest.approx(np.median([1.5, 29.5]))
    assert found["same"]["IQM"] == (3, 3, 3)
    assert found["one"]["IQM"].low < found["one"]["IQM"].mean < found["one"]["IQM"].high
    # On the first environment a quarter of all pairs are equal, none is better; on the second all are.
    better = improvement(scores, "same")["one"]
    assert better.mean == pytest.approx(((0.5 * 4) / 16 + 1) / 2)
    above, interval = profiles(scores, np.array([-1.0, 3.0, 7.0, 200.0]))["one"]
    np.testing.assert_allclose(above, [1, 0.5, 0.25, 0])
    assert (interval[0] <= above).all()
    assert (interval[1] >= above).all()
