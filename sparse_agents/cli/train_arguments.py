"""What the train command is told, and what a run keeps of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from sparse_agents.cli.options import OptionalFloat, OptionalInt, OptionalPath, OptionalStr, check_seed, parse
from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import RunFolder


@dataclass(frozen=True)
class TrainArguments:
    """Train a sparse agent. Writes a run folder in rl-zoo's layout, with TensorBoard logs and checkpoints."""

    algo: str = "ds_td3"
    """ds_td3, ds_sac (the paper's recipes), td3, sac, dqn, ppo, or another of Stable-Baselines3 or sb3-contrib."""
    env: str = "HalfCheetah-v5"
    """Gymnasium environment id."""
    n_timesteps: Annotated[int, arg(aliases=["-n"])] = 1_000_000
    """Environment steps of the whole run."""
    seed: int = 0
    """Seed of everything random."""
    policy: str = "SparseMlpPolicy"
    """Policy name, such as SparseCnnPolicy; without Sparse the agent is dense."""
    n_envs: int = 1
    """Environments side by side."""
    vec_env: str = "dummy"
    """dummy: environments take turns in this process; subproc: a process each."""
    sparsity: OptionalFloat = None
    """Fraction of absent connections per network; by default the algorithm's."""
    topology: OptionalStr = None
    """Topology rule, such as static, set, rigl or snip (docs/topology-rules.md); by default the algorithm's."""
    update_interval: OptionalInt = None
    """Optimizer steps between topology updates; by default the algorithm's, most often 1000."""
    drop_fraction: OptionalFloat = None
    """Fraction of connections replaced at an update; by default the algorithm's, most often 0.05."""
    distribution: OptionalStr = None
    """How connections are shared out over layers: uniform, er, erk, lambda_er or lamp; by default the algorithm's."""
    topology_kwargs: tuple[str, ...] = ()
    """Further options of the rule and its schedule as name:value, such as schedule:cosine end:300000 or m:16."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Further settings of the algorithm as name:value, such as batch_size:256; as in rl-zoo, normalize:True puts
    VecNormalize around the environments, normalize:{'norm_reward':False} with options, and noise_type:normal
    noise_std:0.1 noise on actions."""
    gym_packages: tuple[str, ...] = ()
    """Modules to import first, which register environments, or rules of your own."""
    device: str = "auto"
    """cpu, cuda, or auto, which is the processor."""
    num_threads: int = -1
    """Threads for torch and the kernels; -1 leaves torch's default."""
    eval_freq: int = 25_000
    """Environment steps between evaluations; -1 for none."""
    eval_episodes: int = 5
    """Episodes per evaluation."""
    save_freq: int = 50_000
    """Environment steps between checkpoints; -1 for none."""
    save_replay_buffer: bool = False
    """Also save the final replay buffer, as rl-zoo does."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("logs")
    """Where run folders go."""
    progress: Annotated[bool, arg(aliases=["-P"])] = field(default_factory=lambda: sys.stderr.isatty())
    """Show a progress bar."""
    verbose: int = 1
    """1 prints Stable-Baselines3's table, 0 is quiet."""
    resume: OptionalPath = None
    """Continue this run folder from its last checkpoint. All settings are the run's own, but --n-timesteps, --device,
    --num-threads, --progress and --verbose, when given."""
    quick_start: bool = False
    """A short demonstration: TD3 at 90% sparsity by the robust recipe, 2000 random steps, then a comparison with
    dense."""


_RESUMED = ("n_timesteps", "device", "num_threads", "progress", "verbose")
_NOT_SAVED = ("resume", "progress")
_TUPLES = ("hyperparams", "topology_kwargs", "gym_packages")


def check_numbers(arguments: TrainArguments) -> None:
    """That counts are counts."""
    check_seed(arguments.seed)
    for name in ("n_timesteps", "n_envs", "eval_episodes"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give at least 1.")
    for name in ("eval_freq", "save_freq"):
        value = getattr(arguments, name)
        if value == 0 or value < -1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {value}: give at least 1, or -1 for never.")


def saved(arguments: TrainArguments) -> dict[str, Any]:
    """As a run's ``args.yml`` has them."""
    kept = {k: v for k, v in asdict(arguments).items() if k not in _NOT_SAVED}
    return {**kept, "log_folder": str(arguments.log_folder), **{name: list(kept[name]) for name in _TUPLES}}


def reopen(given: TrainArguments, argv: Sequence[str]) -> tuple[RunFolder, TrainArguments]:
    """The run's own settings, and of the given ones those that may change, which are from now on the run's."""
    assert given.resume is not None
    folder = RunFolder.open(given.resume)
    stored = folder.read_settings()
    known = {f.name for f in fields(TrainArguments)} - set(_NOT_SAVED)
    restored = {k: v for k, v in stored.items() if k in known}
    for name in _TUPLES:
        restored[name] = tuple(restored.get(name) or ())
    restored["log_folder"] = Path(restored.get("log_folder", "logs"))
    before = TrainArguments(**restored)
    arguments = parse(TrainArguments, "train", argv, default=before)
    for name in known - set(_RESUMED):
        if getattr(arguments, name) != getattr(before, name):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigurationError(
                f"{flag} {getattr(arguments, name)}: the run has {getattr(before, name)}, and a resumed run keeps its "
                f"settings but {', '.join('--' + n.replace('_', '-') for n in _RESUMED)}. Start a new one."
            )
    return folder, arguments
