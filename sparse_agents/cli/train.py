"""Train an agent, or resume a run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.algorithms import end_with_the_run
from sparse_agents.callbacks import SparsityCallback
from sparse_agents.cli.options import (
    OWN_FLAGS,
    algorithm,
    check_hyperparameters,
    import_packages,
    parse,
    set_threads,
)
from sparse_agents.cli.train_arguments import TrainArguments, check_numbers, reopen, saved
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.runs import (
    CheckpointEvery,
    Continue,
    InterruptBetweenRollouts,
    Interrupted,
    Literal,
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
from sparse_agents.topology import NOT_YET


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(TrainArguments, "train", argv)
    check_numbers(arguments)
    folder = None
    if arguments.resume is not None:
        folder, arguments = reopen(arguments, argv)
    import_packages(arguments.gym_packages)
    device = check_device(arguments.device)
    set_threads(arguments.num_threads)
    torch.set_flush_denormal(True)  # weight decay makes weights of silent units subnormal, and torch five times slower
    if folder is not None:
        normalization = Normalization.of(_settings(arguments))
        env = normalization.training(_environments(arguments, folder, keep_monitor=True))
        kind = algorithm(arguments.algo)
        model, state = checkpoint.load(checkpoint.latest(folder.checkpoints), kind, env, device)
        folder.trim_monitors(episodes_written(state["environment"]))
        if model.num_timesteps < arguments.n_timesteps:  # else nothing is to be done
            folder.write_arguments(saved(arguments))
        print(f"Resuming {folder.path} at step {model.num_timesteps}")
        if not goes_back(state["environment"]):
            print("The environment's state could not be saved there: a new episode begins, and the run is another one.")
    else:
        arguments = _quick_start(arguments) if arguments.quick_start else arguments
        settings = _settings(arguments)
        normalization = Normalization.of(settings)
        model, state = _new_agent(arguments, settings, normalization, device), None
        folder = RunFolder.create(arguments.log_folder, arguments.algo, arguments.env)
        folder.write_settings(saved(arguments), _without_marks(settings))
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
    check_numbers(arguments)
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
        raise ConfigurationError(
            f"--hyperparams policy_kwargs:{own} is not a dictionary, such as dict(net_arch=[256,256])."
        )
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
