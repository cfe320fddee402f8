"""Where a run keeps its files: rl-zoo's layout, so that its scripts read ours.

``<log folder>/<algo>/<env>_<number>/`` holds ``<env>.zip`` (the final model), ``best_model.zip``,
``evaluations.npz``, ``0.monitor.csv``, ``<env>/args.yml``, ``<env>/config.yml`` and, where observations are normalised,
``<env>/vecnormalize.pkl``; besides, ``best_vecnormalize.pkl``, ``checkpoints/`` for ``--resume`` and ``tb/`` for
TensorBoard.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs.outputs import output_folder


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path
    env_id: str

    @classmethod
    def create(cls, log_folder: Path, algo: str, env_id: str) -> RunFolder:
        """A folder with the next free number."""
        parent = log_folder / algo
        name = env_id.replace("/", "-")
        pattern = re.compile(re.escape(name) + r"_(\d+)$")
        taken = [int(m.group(1)) for p in parent.glob(f"{name}_*") if (m := pattern.match(p.name))]
        output_folder(log_folder, "--log-folder")
        for number in itertools.count(max(taken, default=0) + 1):
            folder = cls(parent / f"{name}_{number}", env_id)
            with contextlib.suppress(FileExistsError):  # another process was faster
                folder.settings.mkdir(parents=True)
                return folder
        raise AssertionError

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            ConfigurationError: when the folder is not one.
        """
        found = sorted(path.glob("*/args.yml"))
        if not found:
            raise ConfigurationError(
                f"{path} is not a run folder (no <env>/args.yml in it). A run folder looks like "
                "logs/ds_td3/HalfCheetah-v5_1."
            )
        settings = _read_yaml(found[0])
        if "env" not in settings:
            raise CheckpointError(f"{found[0]} does not name the environment: it is damaged.")
        return cls(path, str(settings["env"]))

    @classmethod
    def latest(cls, log_folder: Path) -> RunFolder | None:
        """The run that was begun last, of those of one algorithm and environment; None where there is none."""
        runs = [file.parent.parent for file in log_folder.glob("*/*_*/*/args.yml")]
        return cls.open(max(runs, key=lambda path: int(path.name.rpartition("_")[2]))) if runs else None

    @property
    def settings(self) -> Path:
        return self.path / self.env_id.replace("/", "-")

    @property
    def final_model(self) -> Path:
        return self.path / f"{self.env_id.replace('/', '-')}.zip"

    @property
    def best_model(self) -> Path:
        return self.path / "best_model.zip"

    @property
    def statistics(self) -> Path:
        """Of ``VecNormalize``, where the run normalises, for the final model."""
        return self.settings / "vecnormalize.pkl"

    @property
    def best_statistics(self) -> Path:
        return self.path / "best_vecnormalize.pkl"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations.npz"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tb"

    def write_settings(self, args: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """``args.yml``: the command's flags; ``config.yml``: the algorithm's settings."""
        self.write_arguments(args)
        (self.settings / "config.yml").write_text(yaml.safe_dump(dict(config), sort_keys=False))

    def write_arguments(self, args: Mapping[str, Any]) -> None:
        """``args.yml`` alone, at once or not at all."""
        draft = self.settings / "args.yml.draft"
        for_the_zoo = {"env_kwargs": None}  # rl-zoo's enjoy looks for it
        draft.write_text(yaml.safe_dump({**for_the_zoo, **args}, sort_keys=False))
        draft.replace(self.settings / "args.yml")

    def trim_monitors(self, episodes: Sequence[int]) -> None:
        """Leave so many episodes of each environment in its ``monitor.csv``; a resumed run writes the rest again."""
        for index, count in enumerate(episodes):
            path = self.path / f"{index}.monitor.csv"
            if path.is_file():
                lines = path.read_bytes().splitlines(keepends=True)
                os.truncate(path, len(b"".join(lines[: count + 2])))  # in place: a monitor has it open, to append

    def final_steps(self) -> int:
        """Environment steps that the final model has behind it; 0 where there is none, or half of one."""
        try:
            with zipfile.ZipFile(self.final_model) as archive:
                return int(json.loads(archive.read("data"))["num_timesteps"])
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
            return 0

    def read_settings(self) -> dict[str, Any]:
        return _read_yaml(self.settings / "args.yml")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold settings: it is damaged.")
    return content
