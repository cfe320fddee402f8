"""A method over a sequence of tasks, as the command line names it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from tyro.conf import arg

from sparse_agents.cli.options import (
    OptionalInt,
    OptionalInts,
    OptionalPath,
    OptionalStr,
    algorithm,
    check_hyperparameters,
    check_seed,
)
from sparse_agents.continual.agents.learner import AgentLearner, AgentTraining
from sparse_agents.continual.agents.sequences import environment_sequence, names_environments
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import find_method, make_method
from sparse_agents.continual.supervised.learner import Classifier, Training
from sparse_agents.continual.supervised.sequences import SEQUENCES, classification_sequence
from sparse_agents.envs.tasks import SEQUENCES as ENVIRONMENTS
from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.runs import Literal, atomic_file, check_device, read_yaml


@dataclass(frozen=True)
class TrainSequenceArguments:
    """Train one task after the other, and see what becomes of those before. A run is the folder
    LOG_FOLDER/SEQUENCE/METHOD/seed_SEED, of agents LOG_FOLDER/SEQUENCE/ALGO-METHOD/seed_SEED, a companion being named
    behind a plus sign; it can be stopped at any time, and goes on with --resume."""

    sequence: str = "split-digits"
    """Images: split-, permuted- or rotated- with digits, mnist, fashion-mnist behind it, split- or permuted- with
    cifar-10, cifar-100; all but the digits from --data-dir. Environments, for agents: pendulum-gravity,
    cheetah-forgetting, cheetah-forgetting-long, cheetah-transfer, cheetah-robustness, cheetah-compositionality,
    cheetah-velocity, ant-slippery, minatar (discrete actions: dqn, ppo), cw10, cw20; or ids with commas between them;
    or a YAML file with a list of ids."""
    method: str = "spacenet"
    """How they are learned: afaf, der++, er, ewc, finetune, joint, packnet, si, single, spacenet, static, wsn."""
    companion: OptionalStr = None
    """What keeps units able to learn beside it: cbp, redo."""
    seed: int = 0
    """Of weights, minibatches, environments and whatever the method draws."""
    options: tuple[str, ...] = ()
    """The method's own, as name:value; the companion's with its name before them, redo_interval:500."""
    algo: str = "sac"
    """Of agents: ds_sac and ds_td3, which are fast; a2c, ars, crossq, ddpg, dqn, ppo, ppo_lstm, ppo_mask, qrdqn, sac,
    td3, tqc, trpo."""
    hyperparams: tuple[str, ...] = ()
    """Of the algorithm, as name:value."""
    networks: tuple[str, ...] = ("actor", "q_net")
    """Of agents: those that the method looks after; critics are a network, too."""
    steps_per_task: OptionalInt = None
    """Gradient steps on each task, 376 by default; of agents environment steps, 20,000 by default."""
    hidden: OptionalInts = None
    """Units of the hidden layers: 400 400 by default, of agents as the algorithm has them."""
    sparsity: float = 0.0
    """Of the networks; SpaceNet and its static form begin empty and have densities of their own."""
    learning_rate: float = 0.01
    """Of classifiers, by stochastic gradient descent."""
    batch_size: int = 128
    """Of classifiers: samples of a gradient step."""
    eval_freq: OptionalInt = None
    """Evaluate all tasks every so many steps; by default four times a task, and twenty times with agents."""
    eval_episodes: int = 5
    """Of an evaluation, of agents."""
    save_freq: OptionalInt = None
    """Write a checkpoint every so many steps; by default four times a task."""
    data_dir: OptionalPath = None
    """Where data sets are that come with no package."""
    log_folder: Path = Path("logs/sequences")
    """Where run folders go."""
    device: str = "auto"
    """cpu, cuda, or auto, which is the processor."""
    num_threads: int = -1
    """Of torch; -1: its default."""
    progress: Annotated[bool, arg(aliases=["-P"])] = field(default=True)
    """Show a progress bar."""
    resume: bool = False
    """Go on with the run of these settings."""


_MAY_CHANGE = ("resume", "progress", "device", "num_threads", "data_dir", "log_folder")
_STEPS = {True: 376, False: 20_000}
_EVALUATIONS = {True: 4, False: 20}
_CHECKPOINTS = 4


@dataclass(frozen=True)
class SequenceJob:
    """What is run, and where.

    Attributes:
        title: for people.
        folder: of the run.
        tasks: how many.
        steps: of each.
        eval_every, save_every: steps.
        device: that networks are on.
        learner: for a new run, or given what one has saved.
        method: of a learner.
    """

    title: str
    folder: Path
    tasks: int
    steps: int
    eval_every: int
    save_every: int
    device: str
    learner: Callable[[Mapping[str, Any] | None], Learner]
    method: Callable[[Learner], ContinualMethod]

    @classmethod
    def of(cls, arguments: TrainSequenceArguments, folder: Path | None = None) -> SequenceJob:
        """By the command line.

        Args:
            arguments: its.
            folder: another than they say.

        Raises:
            ConfigurationError: for what is not known, or does not go together.
        """
        kind = find_method(arguments.method)
        check_seed(arguments.seed)
        arguments = replace(arguments, device=check_device(arguments.device))
        for units in arguments.hidden or ():
            at_least_one("hidden", units, 1)
        images = arguments.sequence in SEQUENCES
        if not images and not names_environments(arguments.sequence):
            raise unknown("sequence", arguments.sequence, (*SEQUENCES, *ENVIRONMENTS))
        name = arguments.method if images else f"{arguments.algo}-{arguments.method}"
        name += f"+{arguments.companion}" if arguments.companion else ""
        where = _folder_name(arguments.sequence), name, f"seed_{arguments.seed}"
        folder = arguments.log_folder.joinpath(*where) if folder is None else folder
        steps = at_least_one("steps_per_task", arguments.steps_per_task, _STEPS[images])
        make = _images if images else _agents
        tasks, learner = make(arguments, steps, folder, kind.needs_identity)
        options = Literal.parse_all(arguments.options, "--options")
        return cls(
            f"{name}, {arguments.sequence}",
            folder,
            tasks,
            steps,
            at_least_one("eval_freq", arguments.eval_freq, max(1, steps // _EVALUATIONS[images])),
            at_least_one("save_freq", arguments.save_freq, max(1, steps // _CHECKPOINTS)),
            arguments.device,
            learner,
            lambda made: make_method(arguments.method, made, tasks, arguments.seed, arguments.companion, **options),
        )


def _folder_name(sequence: str) -> str:
    """A name as it is, a file's without its ending, and ids with what a folder cannot have in its name replaced."""
    path = Path(sequence)
    name = path.stem if path.suffix in (".yml", ".yaml") else sequence
    return re.sub(r"[^\w.-]+", "-", name.replace("sparse_agents/", ""))


_Found = tuple[int, Callable[[Mapping[str, Any] | None], Learner]]
"""How many tasks there are, and who learns them."""


def _images(arguments: TrainSequenceArguments, steps: int, folder: Path, own_heads: bool) -> _Found:
    if not 0 < arguments.learning_rate < math.inf:
        raise ConfigurationError(f"--learning-rate {arguments.learning_rate}: a number above 0.")
    sequence = classification_sequence(arguments.sequence, arguments.data_dir)
    training = Training(
        hidden=(400, 400) if arguments.hidden is None else arguments.hidden,
        sparsity=arguments.sparsity,
        learning_rate=arguments.learning_rate,
        batch_size=at_least_one("batch_size", arguments.batch_size, 1),
        steps=steps,
        device=arguments.device,
    )
    return len(sequence.tasks), lambda saved: Classifier(sequence, training, arguments.seed, saved)


def _agents(arguments: TrainSequenceArguments, steps: int, folder: Path, own_heads: bool) -> _Found:
    envs = environment_sequence(arguments.sequence)
    hyperparams = Literal.parse_all(arguments.hyperparams, "--hyperparams")
    given = hyperparams.pop("policy_kwargs", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"--hyperparams policy_kwargs:{given}: a dictionary.")
    check_hyperparameters(arguments.algo, hyperparams)
    for name, mend in (("sparsity", "--sparsity says it"), ("topology", "the method decides what changes")):
        if name in given:
            raise ConfigurationError(f"--hyperparams policy_kwargs has {name}: {mend}.")
    policy = {**given, "sparsity": arguments.sparsity}
    if arguments.hidden is not None:
        policy["net_arch"] = list(arguments.hidden)
    training = AgentTraining(
        algorithm(arguments.algo),
        steps,
        policy_kwargs=policy,
        hyperparams=hyperparams,
        networks=arguments.networks,
        own_heads=own_heads,
        episodes=at_least_one("eval_episodes", arguments.eval_episodes, 1),
        device=arguments.device,
    )
    return len(envs), lambda saved: AgentLearner(envs, training, arguments.seed, folder, saved)


def at_least_one(name: str, given: int | None, default: int) -> int:
    """A flag's value, or its default.

    Raises:
        ConfigurationError: naming the flag.
    """
    if given is not None and given < 1:
        raise ConfigurationError(f"--{name.replace('_', '-')} {given}: give at least 1.")
    return default if given is None else given


def claim(folder: Path, arguments: TrainSequenceArguments) -> None:
    """Make a folder the run's, or see that it is.

    Raises:
        ConfigurationError: where it has another run, or one that is not to be gone on with.
    """
    settings: dict[str, Any] = {k: v for k, v in asdict(arguments).items() if k not in _MAY_CHANGE}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    path = settings_of(folder)
    if path.is_file():
        before = _read_settings(path)
        if not arguments.resume:
            raise ConfigurationError(f"{folder} has a run already: go on with --resume, or remove it.")
        for name, value in settings.items():
            if before.get(name) != value:
                flag = f"--{name.replace('_', '-')}"
                given = "not given" if value is None else value
                raise ConfigurationError(
                    f"{flag} {given}: the run in {folder} was begun with {_said(flag, before.get(name))}, and keeps it."
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as draft:
        draft.write_text(yaml.safe_dump(settings, sort_keys=False))


def _said(flag: str, value: Any) -> str:
    """As it was on the command line."""
    return f"no {flag}" if value is None else f"{flag} {value}"


def settings_of(folder: Path) -> Path:
    """The file that says what a run is."""
    return folder / "settings.yml"


def arguments_of(folder: Path, **changed: Any) -> TrainSequenceArguments:
    """Those that a run was made with, but for some.

    Raises:
        CheckpointError: where the file is damaged.
    """
    path = settings_of(folder)
    settings = _read_settings(path)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    try:
        return TrainSequenceArguments(**{**values, **changed})
    except TypeError as error:
        raise CheckpointError(f"{path} does not hold settings: {error}.") from error


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        before = read_yaml(path)
    except ConfigurationError as error:
        raise CheckpointError(f"{error} It is damaged.") from error
    if not isinstance(before, dict):
        raise CheckpointError(f"{path} does not hold settings: it is damaged.")
    return before
