"""``train_sequence``: one method over one sequence of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tyro.conf import arg

from sparse_agents.cli.options import Literal, algorithm, parse, set_threads
from sparse_agents.continual.agents.learner import AgentLearner, AgentTraining
from sparse_agents.continual.agents.sequences import environment_sequence
from sparse_agents.continual.capacity import capacity_table
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import find_method, make_method
from sparse_agents.continual.metrics import METRICS
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.runner import SequenceRun
from sparse_agents.continual.supervised.learner import Classifier, Training
from sparse_agents.continual.supervised.sequences import SEQUENCES, classification_sequence
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import atomic_file


@dataclass(frozen=True)
class TrainSequenceArguments:
    """Train one task after the other, and see what becomes of those before. A run is the folder
    LOG_FOLDER/SEQUENCE/METHOD/seed_SEED, of agents LOG_FOLDER/SEQUENCE/ALGO-METHOD/seed_SEED, a companion being named
    behind a plus sign; it can be stopped at any time, and goes on with --resume."""

    sequence: str = "split-digits"
    """Images: split-, permuted- or rotated- with digits, mnist, fashion-mnist behind it, split- or permuted- with
    cifar-10, cifar-100; all but the digits from --data-dir. Environments, for agents: pendulum-gravity,
    cheetah-forgetting, cheetah-transfer, cheetah-robustness, cheetah-compositionality, cheetah-velocity, ant-slippery,
    minatar (discrete actions: dqn, ppo), cw10, cw20;
    or ids with commas between them; or a YAML file with a list of ids."""
    method: str = "spacenet"
    """How they are learned: afaf, der++, er, ewc, finetune, joint, packnet, si, single, spacenet, static, wsn."""
    companion: str | None = None
    """What keeps units able to learn beside it: cbp, redo."""
    seed: int = 0
    """Of weights, minibatches, environments and whatever the method draws."""
    options: tuple[str, ...] = ()
    """The method's own, as name:value; the companion's with its name before them, redo_interval:500."""
    algo: str = "sac"
    """Of agents: a2c, crossq, ddpg, dqn, ds_sac, ds_td3, ppo, sac, td3, tqc."""
    hyperparams: tuple[str, ...] = ()
    """Of the algorithm, as name:value."""
    networks: tuple[str, ...] = ("actor", "q_net")
    """Of agents: those that the method looks after; critics are a network, too."""
    steps_per_task: int | None = None
    """Gradient steps on each task, 376 by default; of agents environment steps, 20,000 by default."""
    hidden: tuple[int, ...] | None = None
    """Units of the hidden layers: 400 400 by default, of agents as the algorithm has them."""
    sparsity: float = 0.0
    """Of the networks; SpaceNet and its static form begin empty and have densities of their own."""
    learning_rate: float = 0.01
    """Of classifiers, by stochastic gradient descent."""
    batch_size: int = 128
    """Of classifiers: samples of a gradient step."""
    eval_freq: int | None = None
    """Evaluate all tasks every so many steps; by default four times a task, and twenty times with agents."""
    eval_episodes: int = 5
    """Of an evaluation, of agents."""
    save_freq: int | None = None
    """Write a checkpoint every so many steps; by default four times a task."""
    data_dir: Path | None = None
    """Where data sets are that come with no package."""
    log_folder: Path = Path("logs/sequences")
    """Where run folders go."""
    num_threads: int = -1
    """Of torch; -1: its default."""
    progress: Annotated[bool, arg(aliases=["-P"])] = field(default=True)
    """Show a progress bar."""
    resume: bool = False
    """Go on with the run of these settings."""


_MAY_CHANGE = ("resume", "progress", "num_threads", "data_dir", "log_folder")
_STEPS = {True: 376, False: 20_000}
_EVALUATIONS = {True: 4, False: 20}
_CHECKPOINTS = 4


@dataclass(frozen=True)
class _Job:
    """What is run: for a new run, or given what a learner has saved."""

    tasks: int
    steps: int
    learner: Callable[[Mapping[str, Any] | None], Learner]


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(TrainSequenceArguments, "train_sequence", argv)
    set_threads(arguments.num_threads)
    kind = find_method(arguments.method)
    images = arguments.sequence in SEQUENCES
    name = arguments.method if images else f"{arguments.algo}-{arguments.method}"
    name += f"+{arguments.companion}" if arguments.companion else ""
    folder = arguments.log_folder / Path(arguments.sequence).stem.replace("/", "-") / name / f"seed_{arguments.seed}"
    steps = _at_least_one("steps_per_task", arguments.steps_per_task, _STEPS[images])
    eval_every = _at_least_one("eval_freq", arguments.eval_freq, max(1, steps // _EVALUATIONS[images]))
    save_every = _at_least_one("save_freq", arguments.save_freq, max(1, steps // _CHECKPOINTS))
    job = _images(arguments, steps) if images else _agents(arguments, steps, folder, own_heads=kind.needs_identity)
    options = Literal.parse_all(arguments.options, "--options")

    def method_of(learner: Learner) -> ContinualMethod:
        return make_method(arguments.method, learner, job.tasks, arguments.seed, arguments.companion, **options)

    method_of(job.learner(None))  # so that nothing is written where it does not fit
    _claim(folder, arguments)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"),
        TimeRemainingColumn(), disable=not arguments.progress,
    ) as bar:  # fmt: skip
        shown = bar.add_task(f"{name}, {arguments.sequence}", total=job.tasks * steps)
        run = SequenceRun(
            folder,
            job.learner,
            method_of,
            eval_every=eval_every,
            save_every=save_every,
            progress=lambda done: bar.update(shown, completed=done),
        )
        run.run()
    console = Console()
    console.print(capacity_table(run.method.capacity()))
    console.print(_table(folder))
    print(f"run folder {folder}\nTensorBoard: tensorboard --logdir {arguments.log_folder}")


def _images(arguments: TrainSequenceArguments, steps: int) -> _Job:
    sequence = classification_sequence(arguments.sequence, arguments.data_dir)
    training = Training(
        hidden=(400, 400) if arguments.hidden is None else arguments.hidden,
        sparsity=arguments.sparsity,
        learning_rate=arguments.learning_rate,
        batch_size=_at_least_one("batch_size", arguments.batch_size, 1),
        steps=steps,
    )
    return _Job(len(sequence.tasks), steps, lambda saved: Classifier(sequence, training, arguments.seed, saved))


def _agents(arguments: TrainSequenceArguments, steps: int, folder: Path, own_heads: bool) -> _Job:
    envs = environment_sequence(arguments.sequence)
    hyperparams = Literal.parse_all(arguments.hyperparams, "--hyperparams")
    policy = {**hyperparams.pop("policy_kwargs", {}), "sparsity": arguments.sparsity}
    if arguments.hidden is not None:
        policy["net_arch"] = list(arguments.hidden)
    training = AgentTraining(
        algorithm(arguments.algo),
        steps,
        policy_kwargs=policy,
        hyperparams=hyperparams,
        networks=arguments.networks,
        own_heads=own_heads,
        episodes=_at_least_one("eval_episodes", arguments.eval_episodes, 1),
    )
    return _Job(len(envs), steps, lambda saved: AgentLearner(envs, training, arguments.seed, folder, saved))


def _at_least_one(name: str, given: int | None, default: int) -> int:
    if given is not None and given < 1:
        raise ConfigurationError(f"--{name.replace('_', '-')} {given}: give at least 1.")
    return default if given is None else given


def _claim(folder: Path, arguments: TrainSequenceArguments) -> None:
    """Raises ConfigurationError where the folder has another run, or one that is not to be gone on with."""
    settings: dict[str, Any] = {k: v for k, v in asdict(arguments).items() if k not in _MAY_CHANGE}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    path = folder / "settings.yml"
    if path.is_file():
        before = yaml.safe_load(path.read_text())
        if not isinstance(before, dict):
            raise CheckpointError(f"{path} does not hold settings: it is damaged.")
        if not arguments.resume:
            raise ConfigurationError(f"{folder} has a run already: go on with --resume, or remove it.")
        for name, value in settings.items():
            if before.get(name) != value:
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} {value}: the run in {folder} has {before.get(name)}, and keeps it."
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as draft:
        draft.write_text(yaml.safe_dump(settings, sort_keys=False))


def _table(folder: Path) -> Table:
    """What came of it."""
    records = read_records(folder / "evaluations.csv")
    table = Table("task identity", *METRICS)
    for identity in records["identity"].unique():
        matrix = score_matrix(records, identity)
        table.add_row(identity, *(f"{metric(matrix):.3f}" for metric in METRICS.values()))
    return table
