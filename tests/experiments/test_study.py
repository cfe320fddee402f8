"""A study from its file: who is trained and how, what runs that takes, and what is said of them."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from scripts.study import main
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.commands import run_commands
from sparse_agents.experiments.learning_curves import History
from sparse_agents.experiments.study import Study
from sparse_agents.experiments.study_file import read_study
from sparse_agents.experiments.study_record import Key, StudyRecord
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
    command = study.command(agents[agent], env, 100 * len(returns), seed)
    run = RunFolder.create(command.folder, agents[agent].algo, env)
    given = command.arguments[command.arguments.index("--hyperparams") + 1 : command.arguments.index("--eval-freq")]
    settings = {**agents[agent].settings(study.evaluations), "env": env, "hyperparams": list(given)}
    run.write_arguments({**settings, "n_timesteps": 100 * len(returns)})
    steps = 100 * np.arange(1, len(returns) + 1)
    np.savez(run.evaluations, timesteps=steps, results=np.array(returns)[:, None])
    with zipfile.ZipFile(run.final_model, "w") as archive:
        archive.writestr("data", json.dumps({"num_timesteps": int(steps[-1])}))


def test_agents_inherit_what_they_do_not_say(tmp_path: Path) -> None:
    comparison = read_study(study_file(tmp_path)).comparisons["rule"]
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
    study = read_study(study_file(tmp_path))
    sparse = study.comparisons["rule"].agents["SET"]
    arguments = sparse.arguments(PENDULUM, 1, 300, study.evaluations)
    given = arguments[arguments.index("--hyperparams") + 1 : arguments.index("--eval-freq")]
    assert Literal.parse_all(given, "") == sparse.hyperparams
    assert " ".join(arguments).endswith("--eval-freq 100 --eval-episodes 1 --save-freq 100 --num-threads 1 --verbose 0")


def test_runs_of_a_comparison_come_seed_by_seed_and_once(tmp_path: Path) -> None:
    twice = {"both": {"agents": {"one": "dense", "the same": "dense", "other": "sparse"}, "steps": 200}}
    study = read_study(study_file(tmp_path, comparisons=twice))
    commands = list(study.commands(study.comparisons["both"]))
    assert [str(c.folder.relative_to(study.logs / PENDULUM)) for c in commands] == [
        "dense/200/0", "sparse/200/0", "dense/200/1", "sparse/200/1"
    ]  # fmt: skip
    assert {c.steps for c in commands} == {200}


def test_a_table_says_how_agents_compare_with_the_first(tmp_path: Path) -> None:
    other = "MountainCarContinuous-v0"
    study = read_study(study_file(tmp_path, defaults={"envs": [PENDULUM, other], "seeds": 2, "steps": 300}))
    for env, scale in ((PENDULUM, 1), (other, 10)):
        for seed in (0, 1):
            made(study, "dense", env, seed, [0, 90 * scale, (110 + 20 * seed) * scale])
            made(study, "sparse", env, seed, [0, 60 * scale, (40 + 10 * seed) * scale])
            made(study, "sparse", env, seed, [0, 9999, 9999, 9999])  # a longer run is another one
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
    study = read_study(study_file(tmp_path))
    made(study, "sparse", PENDULUM, 0, [0, 1, 2])
    assert list(study.commands(study.comparisons["rule"]))
    study = read_study(study_file(tmp_path, **changes))
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
        (
            {"defaults": {"envs": [PENDULUM], "seeds": 2, "steps": "3e5"}},
            "steps of comparison rule: 300000.0 is",
        ),
        ({"evaluations": {"interval": 100, "episodes": 1, "last": 0}}, "evaluations: last: 0 is no whole number"),
        (
            {"agents": {**AGENTS, "dense": {**AGENTS["dense"], "hyperparams": "foo"}}},
            "agent dense are 'foo', not names",
        ),
        ({"log": "x"}, "Unknown key of .*study.yml 'log'"),
        ({"evaluations": {"interval": 100}}, "evaluations lacks 'episodes'"),
        ({"agents": {**AGENTS, "dense": {"policy": "MlpPolicy"}}}, "agent dense lacks 'algo'"),
        ({"agents": ["dense"]}, r"agents of .*: \['dense'\] is not names"),
        ({"agents": {**AGENTS, "dense": None}}, "dense in agents of .*: None is not names and values"),
        ({"comparisons": {}}, "comparisons of .*: {} is not names"),
        ({"comparisons": {"rule": None}}, "rule in comparisons of .*: None is not names"),
        ({"comparisons": {"rule": {"agents": {0.001: "sparse"}}}}, "0.001 is no label. Put it into quotes"),
        ({"comparisons": {"rule": {"agents": {"SET": "sparse"}, "steps": 250}}}, "250 is no multiple of 100"),
        ({"defaults": {"envs": [PENDULUM], "steps": 300}}, "comparison rule lacks 'seeds'"),
        ({"defaults": {"envs": [1], "seeds": 2, "steps": 300}}, r"envs of comparison rule: \[1\] is no list"),
        ({"defaults": None}, "defaults: None is not names and values"),
        ({"record": None}, "record: None is no path"),
    ],
)
def test_what_is_not_understood_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_study(study_file(tmp_path, **changes))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yml cannot be read: No such file"):
        read_study(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(ConfigurationError, match=r"bad.yml is not YAML"):
        read_study(tmp_path / "bad.yml")


def test_a_page_needs_a_place_for_the_table(tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    with pytest.raises(ConfigurationError, match=r"There is no .*page.md here"):
        report(study, study.comparisons["rule"])
    study.document.write_text("")
    with pytest.raises(ConfigurationError, match=r"no place `<!-- study: rule -->`"):
        report(study, study.comparisons["rule"])


def test_it_runs(tmp_path: Path) -> None:
    one = {"rule": {"agents": {"SET": "sparse"}, "seeds": 1, "steps": 200}}
    study = read_study(study_file(tmp_path, comparisons=one))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    comparison = study.comparisons["rule"]
    run_commands(list(study.commands(comparison)), 1)
    assert all(command.done() for command in study.commands(comparison))
    assert "| SET | -" in report(study, comparison)


def test_the_shipped_study_is_understood() -> None:
    root = Path(__file__).parents[2]
    study = read_study(root / "scripts/studies/learning.yml")
    page = (root / study.document).read_text()
    for name, comparison in study.comparisons.items():
        assert f"<!-- study: {name} -->" in page
        assert "Ant-v5" not in comparison.envs or name == "untuned"


def test_a_mean_over_environments_needs_every_seed(tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    made(study, "sparse", PENDULUM, 0, [0, 50, 50])
    assert "| SET | 50 (1 seed) | – |" in report(study, study.comparisons["rule"])
    made(study, "dense", PENDULUM, 1, [0, 100, 100])
    assert "| SET | 50, **0.50** (1 seed) | – |" in report(study, study.comparisons["rule"])


def test_returns_below_zero_have_no_ratio(tmp_path: Path) -> None:
    """Of two such the worse one is the larger part."""
    study = read_study(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    for agent, value in (("dense", -100), ("sparse", -200)):
        for seed in (0, 1):
            made(study, agent, PENDULUM, seed, [0, value, value])
    assert "| SET | -200 [-200, -200] | – |" in report(study, study.comparisons["rule"])


def test_runs_outlive_their_folders(tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    for seed in (0, 1):
        made(study, "dense", PENDULUM, seed, [0, 100 + seed, 101.25])
    made(study, "sparse", PENDULUM, 0, [0, 50])
    table = report(study, study.comparisons["rule"])
    recorded = (tmp_path / "runs.csv").read_text()
    assert recorded.splitlines()[0] == "agent,env,steps,seed,settings,timesteps,return"
    assert [line.split(",")[-2:] for line in recorded.splitlines()[1:4]] == [
        ["100", "0.00"], ["200", "100.00"], ["300", "101.25"]
    ]  # fmt: skip
    shutil.rmtree(study.logs)
    again = read_study(study.path)
    assert report(again, again.comparisons["rule"]) == table
    assert (tmp_path / "runs.csv").read_text() == recorded
    left = [c.folder.relative_to(study.logs / PENDULUM).as_posix() for c in again.commands(again.comparisons["rule"])]
    assert left == ["sparse/300/0", "static/300/0", "sparse/300/1", "static/300/1"]  # 200 steps are not 300
    dense = again.comparisons["rule"].agents["dense"]
    made(again, "dense", PENDULUM, 0, [0, 7, 7])
    history = again.history(dense, PENDULUM, 300, 0)
    assert history is not None
    assert list(history.returns) == [0, 7, 7]  # what there is a folder of is not taken from the record


def test_a_comparison_of_which_nothing_is_known_leaves_the_page_alone(tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\nof old\n<!-- end -->\n")
    assert "| dense | – | – |" in report(study, study.comparisons["rule"])
    assert "of old" in study.document.read_text()


def test_a_run_that_was_made_longer_by_hand_is_refused(tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    made(study, "sparse", PENDULUM, 0, [0, 1, 2, 3])
    folder = study.logs / PENDULUM / "sparse"
    (folder / "400").rename(folder / "300")
    with pytest.raises(CheckpointError, match="'sparse' with other settings than it has now"):
        list(study.commands(study.comparisons["rule"]))


def test_two_that_record_lose_nothing_of_each_other(tmp_path: Path) -> None:
    one, other = (StudyRecord(tmp_path / "runs.csv") for _ in range(2))
    keys = [Key("dense", PENDULUM, 100, seed) for seed in (0, 1)]
    history = History("", np.array([100]), np.array([1.0]))
    for record, key in zip((one, other), keys, strict=True):
        record.add(key, {}, history)
        record.write()
    again = StudyRecord(tmp_path / "runs.csv")
    assert all(again.find(key, {}) is not None for key in keys)
    assert other.find(keys[0], {}) is not None


def test_figures_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    study = read_study(study_file(tmp_path, document=str(tmp_path / "docs" / "page.md")))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    made(study, "dense", PENDULUM, 0, [0, 100, 100])
    report(study, study.comparisons["rule"])
    assert "![Learning curves](../figures/rule.svg)" in study.document.read_text()


def test_what_failed_does_not_keep_the_rest_from_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {**AGENTS["dense"], "hyperparams": {"learning_rat": 1.0}}
    comparisons = {
        "rule": {"agents": {"dense": "dense", "bad": "bad"}, "seeds": 1, "steps": 200},
        "other": {"agents": {"dense": "dense"}, "seeds": 1, "steps": 200},
    }
    path = study_file(tmp_path, agents={**AGENTS, "bad": bad}, comparisons=comparisons)
    page = tmp_path / "page.md"
    page.write_text("<!-- study: rule -->\n<!-- end -->\n<!-- study: other -->\n<!-- end -->\n")
    with pytest.raises(CheckpointError, match=r"bad, Pendulum-v1, seed 0 failed: .*learning_rat"):
        main([str(path)])
    assert page.read_text().count("| dense | -") == 2
    assert "| bad | – |" in capsys.readouterr().out


def test_an_environment_that_is_none_is_named_before_anything_runs(tmp_path: Path) -> None:
    path = study_file(tmp_path, defaults={"envs": ["Pendulun-v1"], "seeds": 1, "steps": 300})
    (tmp_path / "page.md").write_text("<!-- study: rule -->\n<!-- end -->\n")
    with pytest.raises(ConfigurationError, match="Unknown environment 'Pendulun-v1'"):
        main([str(path)])
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("changes", OTHERS)
def test_a_recorded_run_of_other_settings_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    study = read_study(study_file(tmp_path))
    study.document.write_text("<!-- study: rule -->\n<!-- end -->\n")
    made(study, "sparse", PENDULUM, 0, [0, 1, 2])
    report(study, study.comparisons["rule"])
    shutil.rmtree(study.logs)
    study = read_study(study_file(tmp_path, **changes))
    with pytest.raises(CheckpointError, match=r"runs.csv has runs of 'sparse' with other settings"):
        list(study.commands(study.comparisons["rule"]))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    lines = "agent,env,steps,seed,settings,timesteps,return", "dense,Pendulum-v1,100,0,ab,100,"
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    with pytest.raises(CheckpointError, match=r"runs.csv is not a study's record: ValueError"):
        read_study(study_file(tmp_path))
