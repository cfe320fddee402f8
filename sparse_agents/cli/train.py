"""Train an agent, or resume a run."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from tyro.conf import arg

from sparse_agents.algorithms import NOT_YET, end_with_the_run
from sparse_agents.callbacks import SparsityCallback
from sparse_agents.cli.options import (
    OWN_FLAGS,
    Literal,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalStr,
    algorithm,
    check_hyperparameters,
    check_seed,
    import_packages,
    parse,
    set_threads,
)
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.runs import (
    CheckpointEvery,
    Continue,
    InterruptBetweenRollouts,
    Interrupted,
    Normalization,
    RunFolder,
    atomic_file,
    check_device,
    check_environment,
    check_masks,
    checkpoint,
    episodes_written,
    evaluate,
    evaluation,
    goes_back,
    gradient_step_seconds,
    make_env,
    run_logger,
    save_statistics,
    with_action_noise,
)


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
    """auto or cpu."""
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


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(TrainArguments, "train", argv)
    _check(arguments)
    folder = None
    if arguments.resume is not None:
        folder, arguments = _reopen(arguments, argv)
    import_packages(arguments.gym_packages)
    device = check_device(arguments.device)
    set_threads(arguments.num_threads)
    torch.set_flush_denormal(True)  # weight decay makes weights of silent units subnormal, and torch five times slower
    if folder is not None:
        normalization = Normalization.of(_settings(arguments))
        env = normalization.training(_environments(arguments, folder, keep_monitor=True))
        model, state = checkpoint.load(checkpoint.latest(folder.checkpoints), algorithm(arguments.algo), env)
        folder.trim_monitors(episodes_written(state["environment"]))
        if model.num_timesteps < arguments.n_timesteps:  # else nothing is to be done
            folder.write_arguments(_saved(arguments))
        print(f"Resuming {folder.path} at step {model.num_timesteps}")
        if not goes_back(state["environment"]):
            print("The environment's state could not be saved there: a new episode begins, and the run is another one.")
    else:
        arguments = _quick_start(arguments) if arguments.quick_start else arguments
        settings = _settings(arguments)
        normalization = Normalization.of(settings)
        model, state = _new_agent(arguments, settings, normalization, device), None
        folder = RunFolder.create(arguments.log_folder, arguments.algo, arguments.env)
        folder.write_settings(_saved(arguments), _without_marks(settings))
        model.set_env(normalization.training(_environments(arguments, folder)))
        _say_what_is_too_short(model, arguments)
    try:
        _learn(model, folder, arguments, normalization, state)
        _report(model, folder, arguments, normalization)
    finally:
        assert model.env is not None
        model.env.close()


def check(arguments: TrainArguments) -> None:
    """Build what :func:`main` would train, and leave it at that.

    Raises:
        ConfigurationError: for what it would end with before it trains.
    """
    _check(arguments)
    import_packages(arguments.gym_packages)
    settings = _settings(arguments)
    model = _new_agent(arguments, settings, Normalization.of(settings), check_device(arguments.device))
    assert model.env is not None
    model.env.close()


def _environments(arguments: TrainArguments, folder: RunFolder | None = None, keep_monitor: bool = False) -> VecEnv:
    """Those to train in; with a folder, their episodes are recorded there."""
    directory = None if folder is None else str(folder.path)
    return make_env(
        arguments.env,
        arguments.seed,
        directory,
        keep_monitor,
        arguments.n_envs,
        arguments.vec_env,
        arguments.gym_packages,
    )


def _check(arguments: TrainArguments) -> None:
    check_seed(arguments.seed)
    for name in ("n_timesteps", "n_envs", "eval_episodes"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give at least 1.")
    for name in ("eval_freq", "save_freq"):
        value = getattr(arguments, name)
        if value == 0 or value < -1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {value}: give at least 1, or -1 for never.")


def _quick_start(arguments: TrainArguments) -> TrainArguments:
    print(
        "Quick start: TD3 at 90% sparsity by the robust recipe, a short run with 2000 random steps. This shows that\n"
        "it learns and how fast it is; the paper's recipe of DS-TD3 has 50% sparsity, 25k random steps, 1M steps.\n"
    )
    steps = arguments.n_timesteps
    return replace(
        arguments,
        algo="ds_td3",
        sparsity=0.9,
        hyperparams=("recipe:robust", "learning_starts:2000", *arguments.hyperparams),
        eval_freq=max(1000, steps // 4),
        save_freq=max(1000, steps // 2),
        verbose=0,
    )


def _reopen(given: TrainArguments, argv: Sequence[str]) -> tuple[RunFolder, TrainArguments]:
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


def _saved(arguments: TrainArguments) -> dict[str, Any]:
    saved = {k: v for k, v in asdict(arguments).items() if k not in _NOT_SAVED}
    return {**saved, "log_folder": str(arguments.log_folder), **{name: list(saved[name]) for name in _TUPLES}}


def _settings(arguments: TrainArguments) -> dict[str, Any]:
    """Keyword arguments of the algorithm."""
    settings = Literal.parse_all(arguments.hyperparams, "--hyperparams")
    for name in (name for name in OWN_FLAGS if name in settings):
        raise ConfigurationError(f"--hyperparams {name}:{settings[name]}: this has a flag of its own, --{name}.")
    timing = {"update_interval": arguments.update_interval, "drop_fraction": arguments.drop_fraction}
    topology_kwargs = {k: v for k, v in timing.items() if v is not None}
    topology_kwargs |= Literal.parse_all(arguments.topology_kwargs, "--topology-kwargs")
    policy: dict[str, Any] = {
        "sparsity": arguments.sparsity,
        "topology": arguments.topology,
        "distribution": arguments.distribution,
        "topology_kwargs": topology_kwargs or None,
    }
    policy = {k: v for k, v in policy.items() if v is not None}
    aliases = algorithm(arguments.algo).policy_aliases
    if arguments.policy not in aliases:
        raise unknown(f"--policy of {arguments.algo}", arguments.policy, sorted(aliases, reverse=True))
    policy_class = aliases[arguments.policy]
    if policy and not issubclass(policy_class, SparsePolicyMixin):
        raise ConfigurationError(
            f"--policy {arguments.policy} is dense and takes no {', '.join('--' + k for k in policy)}. "
            f"Use --policy Sparse{arguments.policy}."
        )
    own = settings.pop("policy_kwargs", {})
    if not isinstance(own, dict):
        raise ConfigurationError(f"--hyperparams policy_kwargs:{own} is not a dictionary.")
    if issubclass(policy_class, SparsePolicyMixin):
        policy["topology_defaults"] = {"end": NOT_YET}
    merged = {**policy, **own}
    if merged:
        settings["policy_kwargs"] = merged
    return {"policy": arguments.policy, **settings}


def _without_marks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """For the user to read: what was given."""
    policy = {k: v for k, v in settings.get("policy_kwargs", {}).items() if k != "topology_defaults"}
    others = {k: v for k, v in settings.items() if k != "policy_kwargs"}
    return {**others, "policy_kwargs": policy} if policy else others


def _new_agent(
    arguments: TrainArguments, settings: Mapping[str, Any], normalization: Normalization, device: str
) -> BaseAlgorithm:
    check_environment(arguments.env)
    kind: Any = algorithm(arguments.algo)
    given = copy.deepcopy(dict(settings))  # some algorithms write into theirs
    given.pop("normalize", None)
    env = normalization.training(_environments(arguments))
    check_masks(kind, env)
    given = with_action_noise(given, env.action_space)
    check_hyperparameters(arguments.algo, given)
    try:
        model: BaseAlgorithm = kind(env=env, seed=arguments.seed, verbose=0, device=device, **given)
        return model
    except ConfigurationError:
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ConfigurationError(f"{arguments.algo} cannot be built with these settings: {error}") from error


def _say_what_is_too_short(model: BaseAlgorithm, arguments: TrainArguments) -> None:
    """A run that ends before it learns looks as if it had learned nothing."""
    steps, starts = arguments.n_timesteps, vars(model).get("learning_starts", 0)
    if starts >= steps:
        print(f"No gradient step will be taken: learning_starts={starts} of {steps} steps, all of them random.")
    if arguments.eval_freq > steps:
        print(f"Evaluated at the end alone: --eval-freq {arguments.eval_freq} is beyond {steps} steps.")


def _learn(
    model: BaseAlgorithm, folder: RunFolder, arguments: TrainArguments, normalization: Normalization,
    state: dict[str, Any] | None,
) -> None:  # fmt: skip
    resumed_at = None if state is None else model.num_timesteps
    model.set_logger(run_logger(folder.tensorboard, arguments.verbose > 0, resumed_at))
    callbacks: list[BaseCallback] = []
    if isinstance(model.policy, SparsePolicyMixin):
        masked = [name for name, backend in model.policy.backends().items() if backend == "masked"]
        if masked:
            print(f"Computed densely, with matrices filled in: {', '.join(masked)}.")
        end_with_the_run(model, arguments.n_timesteps)
        callbacks.append(SparsityCallback())
    if arguments.eval_freq > 0:
        seed = arguments.seed + 1000
        every = max(1, arguments.eval_freq // arguments.n_envs)  # it counts rounds of steps
        env = make_env(arguments.env, seed, vec_env=arguments.vec_env, packages=arguments.gym_packages)
        callbacks += evaluation(folder, model, normalization.evaluation(env), seed, every, arguments.eval_episodes)
    checkpoints = CheckpointEvery(folder.checkpoints, arguments.save_freq, callbacks)
    restore = [] if state is None else [Continue(state, callbacks)]
    saving = [checkpoints] if arguments.save_freq > 0 else []
    remaining = arguments.n_timesteps - model.num_timesteps
    if remaining <= 0:
        print(
            f"The run already has {model.num_timesteps} steps; --n-timesteps {arguments.n_timesteps} asks for no more."
        )
        if not folder.final_model.is_file():  # killed between its last checkpoint and its end
            _save_final(model, folder)
        return
    try:
        model.learn(
            remaining,
            callback=[*restore, InterruptBetweenRollouts(), *callbacks, *saving],
            reset_num_timesteps=False,
            progress_bar=arguments.progress,
        )
    except Interrupted:
        path = checkpoint.save(model, folder.checkpoints, callbacks)
        print(f"\nInterrupted at step {model.num_timesteps}; saved {path}.\nContinue with --resume {folder.path}")
        raise
    except KeyboardInterrupt:
        print(f"\nStopped at once, in the middle of things; {folder.path} is as its last checkpoint left it.")
        raise
    if model.logger.name_to_value:  # recorded since the last episode
        model.logger.dump(step=model.num_timesteps)
    _save_final(model, folder)
    if arguments.save_replay_buffer and isinstance(model, OffPolicyAlgorithm):
        model.save_replay_buffer(folder.path / "replay_buffer.pkl")


def _save_final(model: BaseAlgorithm, folder: RunFolder) -> None:
    save_statistics(model, folder.statistics)
    with atomic_file(folder.final_model) as draft:
        model.save(draft)


def _report(model: BaseAlgorithm, folder: RunFolder, arguments: TrainArguments, normalization: Normalization) -> None:
    env = normalization.evaluation(make_env(arguments.env, arguments.seed + 2000), model)
    returns, _ = evaluate(model, env, arguments.eval_episodes)
    table = Table(show_header=False)
    table.add_row("evaluation return", f"{np.mean(returns):.0f} ± {np.std(returns):.0f} ({len(returns)} episodes)")
    if arguments.quick_start:
        assert isinstance(model, OffPolicyAlgorithm)
        table.add_row("gradient step", _speed(model, arguments))
    table.add_row("run folder", str(folder.path))
    table.add_row("TensorBoard", f"tensorboard --logdir {folder.path.parent.parent}")
    Console().print(table)


def _speed(model: OffPolicyAlgorithm, arguments: TrainArguments) -> str:
    """Of the agent just trained, and of dense TD3 on the same data."""
    assert model.policy_kwargs is not None
    shared = {k: v for k, v in model.policy_kwargs.items() if k in ("net_arch", "optimizer_kwargs")}
    dense = TD3("MlpPolicy", make_env(arguments.env, 0), buffer_size=1, policy_kwargs=shared, device="cpu")
    dense.replay_buffer = model.replay_buffer
    seconds = gradient_step_seconds({"sparse": model, "dense": dense}, batch_size=model.batch_size)
    ratio = seconds["dense"] / seconds["sparse"]
    return f"{seconds['sparse'] * 1e3:.2f} ms, dense TD3 {seconds['dense'] * 1e3:.2f} ms: {ratio:.1f}x faster"
