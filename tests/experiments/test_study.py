"""A study from its file: who is trained and how, what runs that takes, and what is said of them."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.commands import run_commands
from sparse_agents.experiments.study import Study
from sparse_agents.experiments.study_report import report
from sparse_agents.runs import Literal, RunFolder

PENDULUM = "Pendulum-v1"
AGENTS = {
    "dense": {
        "algo": "td3",
        "policy": "MlpPolicy",
        "hyperparams": {"learning_starts": 100, "buffer_size": 1000, "policy_kwargs": {"net_arch": [32, 32]}},
    },
    "sparse": {
        "from": "dense",
        "policy": "SparseMlpPolicy",
        "hyperparams": {"policy_kwargs": {"sparsity": 0.8, "topology_kwargs": {"begin": None}}},
    },
    "static": {"from": "sparse", "hyperparams": {"policy_kwargs": {"topology": "static", "net_arch": [64]}}},
}
OTHERS = [
    {"agents": {**AGENTS, "dense": {**AGENTS["dense"], "algo": "sac"}}},
    {"evaluations": {"interval": 50, "episodes": 1, "last": 2}},
    {"evaluations": {"interval": 100, "episodes": 3, "last": 2}},
]


def study_file(folder: Path, **changes: object) -> Path:
    content = {
        "logs": str(folder / "logs"),
        "document": str(folder / "page.md"),
        "figures": str(folder / "figures"),
        "record": str(folder / "runs.csv"),
        "evaluations": {"interval": 100, "episodes": 1, "last": 2},
        "defaults": {"envs": [PENDULUM], "seeds": 2, "steps": 300},
        "agents": AGENTS,
        "comparisons": {"rule": {"agents": {"dense": "dense", "SET": "sparse", "no rule": "static"}}},
        **changes,
    }
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def made(study: Study, agent: str, env: str, seed: int, returns: list[float]) -> None:
    """A finished run, as the train command leaves it, evaluated every 100 steps."""
    agents = {one.name: one for c in study.comparisons.values() for one in c.agents.values()}
    command = study.command(agents[agent], env, seed, 100 * len(returns))
    run = RunFolder.create(command.folder, agents[agent].algo, env)
    given = command.arguments[command.arguments.index("--hyperparams") + 1 : command.arguments.index("--eval-freq")]
    settings = {**agents[agent].settings(study.evaluations), "env": env, "hyperparams": list(given)}
    run.write_arguments(settings)
    steps = 100 * np.arange(1, len(returns) + 1)
    np.savez(run.evaluations, timesteps=steps, results=np.array(returns)[:, None])
    with zipfile.ZipFile(run.final_model, "w") as archive:
        archive.writestr("data", json.dumps({"num_timesteps": int(steps[-1])}))


def test_agents_inherit_what_they_do_not_say(tmp_path: Path) -> None:
    comparison = Study.read(study_file(tmp_path)).comparisons["rule"]
    dense, sparse, static = comparison.agents.values()
    assert list(comparison.agents) == ["dense", "SET", "no rule"]
    assert (sparse.algo, sparse.policy) == ("td3", "SparseMlpPolicy")
    assert dense.hyperparams["policy_kwargs"] == {"net_arch": [32, 32]}
    assert sparse.hyperparams == {
        "learning_starts": 100,
        "buffer_size": 1000,
        "policy_kwargs": {"net_arch": [32, 32], "sparsity": 0.8, "topology_kwargs": {"begin": None}},
    }
    assert static.hyperparams["policy_kwargs"] == {
        "net_arch": [64], "sparsity": 0.8, "topology_kwargs": {"begin": None}, "topology": "static"
    }  # fmt: skip


def test_the_train_command_understands_its_arguments(tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    sparse = study.comparisons["rule"].agents["SET"]
    arguments = sparse.arguments(PENDULUM, 1, 300, study.evaluations)
    given = arguments[arguments.index("--hyperparams") + 1 : arguments.index("--eval-freq")]
    assert Literal.parse_all(given, "") == sparse.hyperparams
    assert " ".join(arguments).endswith("--eval-freq 100 --eval-episodes 1 --num-threads 1 --verbose 0")


def test_runs_of_a_comparison_come_seed_by_seed_and_once(tmp_path: Path) -> None:
    twice = {"both": {"agents": {"one": "dense", "the same": "dense", "other": "sparse"}, "steps": 200}}
    study = Study.read(study_file(tmp_path, comparisons=twice))
    commands = list(study.commands(study.comparisons["both"]))
    assert [str(c.folder.relative_to(study.logs / PENDULUM)) for c in commands] == [
        "dense/0", "sparse/0", "dense/1", "sparse/1"
    ]  # fmt: skip
    assert {c.steps for c in commands} == {200}


def test_a_table_says_how_agents_compare_with_the_first(tmp_path: Path) -> None:
    other = "MountainCarContinuous-v0"
    study = Study.read(study_file(tmp_path, defaults={"envs": [PENDULUM, other], "seeds": 2, "steps": 300}))
    for env, scale in ((PENDULUM, 1), (other, 10)):
        for seed in (0, 1):
            made(study, "dense", env, seed, [0, 90 * scale, (110 + 20 * seed) * scale])
            made(study, "sparse", env, seed, [0, 60 * scale, (40 + 10 * seed) * scale, 9999])  # a longer run
    made(study, "static", PENDULUM, 1, [0, 55, 55])
    study.document.write_text("before\n<!-- study: rule -->\nold\n<!-- end -->\nafter\n")
    table = report(study, study.comparisons["rule"])
    assert table.splitlines()[-5:] == [
        f"| | {PENDULUM} | {other} | of dense |",
        "|---|---|---|---|",
        "| dense | 105 [100, 110], **1.00** | 1050 [1000, 1100], **1.00** | 1.00 [0.95, 1.05] |",
        "| SET | 52 [50, 55], **0.50** | 525 [500, 550], **0.50** | 0.50 [0.48, 0.52] |",
        "| no rule | 55, **0.52** (1 seed) | – | – |",
    ]
    page = study.document.read_text()
    assert page.startswith(f"before\n<!-- study: rule -->\n{table}\n\n![Learning curves](figures/rule.svg)\n<!-- end")
    assert page.endswith("<!-- end -->\nafter\n")
    assert (tmp_path / "figures" / "rule.svg").read_text().startswith("<?xml")
    report(study, study.comparisons["rule"])
    assert study.document.read_text() == page


@pytest.mark.parametrize("changes", OTHERS)
def test_a_run_of_other_settings_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    made(study, "sparse", PENDULUM, 0, [0, 1, 2])
    assert list(study.commands(study.comparisons["rule"]))
    study = Study.read(study_file(tmp_path, **changes))
    with pytest.raises(CheckpointError, match="'sparse' with other settings than it has now"):
        list(study.commands(study.comparisons["rule"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agents": {**AGENTS, "sparse": {"from": "dens"}}}, "Unknown agent 'dens'"),
        ({"agents": {**AGENTS, "sparse": {"from": "static"}, "static": {"from": "sparse"}}}, "in a circle: .*sparse"),
        ({"agents": {**AGENTS, "sparse": {"hyperparam": {}}}}, "Unknown key of agent sparse 'hyperparam'"),
        ({"comparisons": {"rule": {"agents": {"SET": "set"}}}}, "Unknown agent in comparison rule 'set'"),
        ({"comparisons": {"rule": {"agents": {"SET": "sparse"}, "seed": 1}}}, "Unknown key of comparison rule 'seed'"),
        ({"comparisons": {"rule": {"agents": {}}}}, "agents of comparison rule: {} has no labels and agents"),
        ({"comparisons": {"rule": {"agents": ["sparse"]}}}, "agents of comparison rule: .'sparse'. has no labels"),
        (
            {"defaults": {"envs": PENDULUM, "seeds": 2, "steps": 300}},
            "envs of comparison rule: 'Pendulum-v1' is no list",
        ),
        (
            {"defaults": {"envs": [PENDULUM], "seeds": 0, "steps": 300}},
            "seeds of comparison rule: 0 is no whole number",
        ),
        ({"defaults": {"envs": [PENDULUM], "seeds": 2, "steps": "3e5"}}, "steps of comparison rule: '3e5' is no whole"),
        ({"evaluations": {"interval": 100, "episodes": 1, "last": 0}}, "evaluations: last: 0 is no whole number"),
        (
            {"agents": {**AGENTS, "dense": {**AGENTS["dense"], "hyperparams": "foo"}}},
            "agent dense are 'foo', not names",
        ),
        ({"log": "x"}, "Unknown key of .*study.yml 'log'"),
        ({"evaluations": {"interval": 100}}, "not a study: .*episodes"),
        ({"agents": {**AGENTS, "dense": {"policy": "MlpPolicy"}}}, "lacks 'algo'"),
    ],
)
def test_what_is_not_understood_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Study.read(study_file(tmp_path, **changes))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yml cannot be read: No such file"):
        Study.read(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(ConfigurationError, match=r"bad.yml is not YAML"):
        Study.read(tmp_path / "bad.yml")


def test_a_page_needs_a_place_for_the_table(tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    with pytest.raises(ConfigurationError, match=r"no place `<!-- study: rule -->`"):
        report(study, study.comparisons["rule"])


def test_it_runs(tmp_path: Path) -> None:
    one = {"rule": {"agents": {"SET": "sparse"}, "seeds": 1, "steps": 200}}
    study = Study.read(study_file(tmp_path, comparisons=one))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    comparison = study.comparisons["rule"]
    run_commands(list(study.commands(comparison)), 1)
    assert all(command.done() for command in study.commands(comparison))
    assert "| SET | -" in report(study, comparison)


def test_the_shipped_study_is_understood() -> None:
    root = Path(__file__).parents[2]
    study = Study.read(root / "scripts/studies/learning.yml")
    page = (root / study.document).read_text()
    for name, comparison in study.comparisons.items():
        assert f"<!-- study: {name} -->" in page
        assert "Ant-v5" not in comparison.envs or name == "untuned"


def test_a_mean_over_environments_needs_every_seed(tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    made(study, "sparse", PENDULUM, 0, [0, 50, 50])
    assert "| SET | 50 (1 seed) | – |" in report(study, study.comparisons["rule"])
    made(study, "dense", PENDULUM, 1, [0, 100, 100])
    assert "| SET | 50, **0.50** (1 seed) | – |" in report(study, study.comparisons["rule"])


def test_returns_below_zero_have_no_ratio(tmp_path: Path) -> None:
    """Of two such the worse one is the larger part."""
    study = Study.read(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    for agent, value in (("dense", -100), ("sparse", -200)):
        for seed in (0, 1):
            made(study, agent, PENDULUM, seed, [0, value, value])
    assert "| SET | -200 [-200, -200] | – |" in report(study, study.comparisons["rule"])


def test_runs_outlive_their_folders(tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    for seed in (0, 1):
        made(study, "dense", PENDULUM, seed, [0, 100 + seed, 101.25])
    made(study, "sparse", PENDULUM, 0, [0, 50])
    table = report(study, study.comparisons["rule"])
    recorded = (tmp_path / "runs.csv").read_text()
    assert recorded.splitlines()[0] == "agent,env,seed,settings,timesteps,return"
    assert [line.split(",")[-2:] for line in recorded.splitlines()[1:4]] == [
        ["100", "0.00"], ["200", "100.00"], ["300", "101.25"]
    ]  # fmt: skip
    shutil.rmtree(study.logs)
    again = Study.read(study.path)
    assert report(again, again.comparisons["rule"]) == table
    assert (tmp_path / "runs.csv").read_text() == recorded
    left = [c.folder.relative_to(study.logs / PENDULUM).as_posix() for c in again.commands(again.comparisons["rule"])]
    assert left == ["sparse/0", "static/0", "sparse/1", "static/1"]  # a run of 200 steps is not one of 300
    dense = again.comparisons["rule"].agents["dense"]
    made(again, "dense", PENDULUM, 0, [0, 7, 7, 7])
    history = again.history(dense, PENDULUM, 0, 400)
    assert history is not None
    assert list(history.returns) == [0, 7, 7, 7]


def test_a_comparison_of_which_nothing_is_known_leaves_the_page_alone(tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\nof old\n<!-- end -->\n")
    assert "| dense | – | – |" in report(study, study.comparisons["rule"])
    assert "of old" in study.document.read_text()


def test_a_page_that_says_more_is_left_alone(tmp_path: Path) -> None:
    """Of runs that were made elsewhere."""
    study = Study.read(study_file(tmp_path))
    page = (
        "<!-- study: rule -->\n| | Pendulum-v1 | |\n|---|---|---|\n| dense | 7 | – |\n| SET | 8 | – |\n<!-- end -->\n"
    )
    study.document.write_text(page)
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    assert report(study, study.comparisons["rule"]).endswith("page.md says more than this, and is left as it is.")
    assert study.document.read_text() == page
    assert not study.figures.exists()
    made(study, "sparse", PENDULUM, 0, [0, 100, 100])
    report(study, study.comparisons["rule"])
    assert "| SET | 100 (1 seed) |" in study.document.read_text()


@pytest.mark.parametrize("changes", OTHERS)
def test_a_recorded_run_of_other_settings_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    study = Study.read(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    made(study, "sparse", PENDULUM, 0, [0, 1, 2])
    report(study, study.comparisons["rule"])
    shutil.rmtree(study.logs)
    study = Study.read(study_file(tmp_path, **changes))
    with pytest.raises(CheckpointError, match=r"runs.csv has runs of 'sparse' with other settings"):
        list(study.commands(study.comparisons["rule"]))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("agent,env,seed,settings,timesteps,return\ndense,Pendulum-v1,0,ab,100,\n")
    with pytest.raises(CheckpointError, match=r"runs.csv is not a study's record: ValueError"):
        Study.read(study_file(tmp_path))
