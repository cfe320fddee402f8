"""rl-zoo3 itself, with sparse agents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stable_baselines3 import TD3

from sparse_agents import DSTD3
from sparse_agents.nn import sparse_layers
from sparse_agents.zoo import HYPERPARAMS, convert_sparse, sample_sparse

ROOT = Path(__file__).parent.parent.parent
SHORT = [
    "--env",
    "Pendulum-v1",
    "-n",
    "250",
    "--eval-freq",
    "100",
    "--eval-episodes",
    "1",
    "-f",
    "logs",
    "--num-threads",
    "1",
]


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stock_td3_with_a_policy_named_in_yaml(tmp_path: Path) -> None:
    settings = {"policy": "sparse_agents.policies.SparseTD3Policy", "n_timesteps": 250, "learning_starts": 100,
                "policy_kwargs": "dict(net_arch=[32, 32], sparsity=0.8, topology='rigl')"}  # fmt: skip
    (tmp_path / "td3.yml").write_text(yaml.safe_dump({"Pendulum-v1": settings}))
    run(["-m", "rl_zoo3.train", "--algo", "td3", "-c", "td3.yml", *SHORT], tmp_path)
    model = TD3.load(tmp_path / "logs" / "td3" / "Pendulum-v1_1" / "Pendulum-v1.zip")
    assert type(model.policy).__name__ == "SparseTD3Policy"
    assert sparse_layers(model.policy)


def test_aliases_by_gym_packages(tmp_path: Path) -> None:
    settings = {"policy": "SparseMlpPolicy", "n_timesteps": 250, "n_steps": 64}
    (tmp_path / "ppo.yml").write_text(yaml.safe_dump({"Pendulum-v1": settings}))
    run(["-m", "rl_zoo3.train", "--algo", "ppo", "-c", "ppo.yml", "--gym-packages", "sparse_agents", *SHORT], tmp_path)


@pytest.mark.parametrize("algo", ["ds_td3", pytest.param("ds_sac", marks=pytest.mark.slow)])
def test_the_robust_recipe_by_name(algo: str, tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "zoo.py")
    small = ["learning_starts:100", "policy_kwargs:dict(net_arch=[16])"]
    run([script, "train", "--algo", algo, "--recipe", "robust", "--hyperparams", *small, *SHORT], tmp_path)
    settings = yaml.unsafe_load((tmp_path / "logs" / algo / "Pendulum-v1_1" / "Pendulum-v1" / "config.yml").read_text())
    assert dict(settings)["recipe"] == "robust"
    command = [sys.executable, script, "train", "--algo", "ppo", "--recipe", "robust"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert refused.returncode == 2
    assert "for ds_td3 and ds_sac" in refused.stderr


@pytest.mark.parametrize("algo", [pytest.param("ds_td3", marks=pytest.mark.slow), "ds_sac"])
def test_our_algorithms_by_name(algo: str, tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "zoo.py")
    out = run([script, "train", "--algo", algo, "--hyperparams", "learning_starts:100", *SHORT], tmp_path)
    assert str(HYPERPARAMS) in out
    assert (tmp_path / "logs" / algo / "Pendulum-v1_1" / "Pendulum-v1.zip").is_file()
    assert "sparsity" in out


@pytest.mark.parametrize("more", [pytest.param([], marks=pytest.mark.slow), ["normalize:True"]])
def test_enjoy_reads_a_run_folder(more: list[str], tmp_path: Path) -> None:
    """As rl-zoo3 leaves it, and as the train command does."""
    settings = ["--hyperparams", "learning_starts:100", "buffer_size:1000", *more]
    run(["-m", "sparse_agents.cli", "train", *settings, *SHORT, "--verbose", "0"], tmp_path)
    for flags in ([], ["--load-best"]):
        enjoy = ["enjoy", "--algo", "ds_td3", "--env", "Pendulum-v1", "-f", "logs", "-n", "250", "--no-render", *flags]
        assert "Mean reward" in run([str(ROOT / "scripts" / "zoo.py"), *enjoy], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["ds_td3", "ds_sac"])
def test_optuna_searches_sparsity(algo: str, tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "zoo.py")
    flags = ["--optimize", "--n-trials", "2", "--n-jobs", "1", "--n-startup-trials", "1", "--n-evaluations", "1"]
    out = run([script, "train", f"--algo={algo}", *SHORT, *flags], tmp_path)
    for name in ("sparsity", "topology", "update_interval", "drop_fraction"):
        assert name in out


class Trial:
    """Always the first choice."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        return low

    def suggest_categorical(self, name: str, choices: tuple[object, ...]) -> object:
        return choices[0]


def test_the_search_space_makes_agents() -> None:
    settings = sample_sparse(lambda *_: {"gamma": 0.9, "policy_kwargs": {"net_arch": [16, 16]}})(Trial(), 1, 1, {})
    assert settings["policy_kwargs"] == {
        "net_arch": [16, 16],
        "dense_output": False,
        "sparsity": 0.5,
        "topology": "static",
        "topology_kwargs": {"update_interval": 250, "drop_fraction": 0.05},
    }
    DSTD3(env="Pendulum-v1", buffer_size=10, device="cpu", **settings)
    averaged = sample_sparse(lambda *_: {"tau": 0.1, "gamma": 0.9}, without=["tau"])(Trial(), 1, 1, {})
    assert "tau" not in averaged
    stored = {"gamma": 0.9, "sparsity": 0.5, "topology": "static", "update_interval": 250, "drop_fraction": 0.05}
    again = convert_sparse(lambda sampled: {**sampled, "policy_kwargs": {"net_arch": [16, 16]}})(stored)
    assert again == settings


def test_shipped_settings_name_sparse_policies() -> None:
    for path in HYPERPARAMS.glob("*.yml"):
        for settings in yaml.safe_load(path.read_text()).values():
            assert settings["policy"].startswith("Sparse")
            assert settings["n_timesteps"] > 0
