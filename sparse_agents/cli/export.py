"""Export a trained agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sparse_agents.cli.options import parse
from sparse_agents.cli.saved_agent import AgentArguments, SavedAgent
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.export import acting_of, write_c, write_onnx, write_tensors
from sparse_agents.policies import SparsePolicyMixin, densify
from sparse_agents.runs import output_folder


@dataclass(frozen=True)
class ExportArguments(AgentArguments):
    """Write a trained agent for other programs: a run folder, or a model's zip with --algo and --env. Observations
    are normalised within onnx and c files as they were in training."""

    format: str = "onnx"
    """onnx: for onnxruntime and its like. c: C99 source and its header, without dependencies. dense-sb3: a zip that
    Stable-Baselines3 loads alone. safetensors: parameters and connections."""
    out: Path = Path("exported")
    """Folder to write into."""
    name: str = "agent"
    """Of the files; in C, also before what they define."""
    json: bool = False
    """Print one JSON object instead of text."""


def _statistics(env: VecEnv) -> VecNormalize | None:
    return env if isinstance(env, VecNormalize) else None


def _onnx(model: BaseAlgorithm, env: VecEnv, folder: Path, name: str) -> list[Path]:
    write_onnx(acting_of(model, _statistics(env)), folder / f"{name}.onnx")
    return [folder / f"{name}.onnx"]


def _c(model: BaseAlgorithm, env: VecEnv, folder: Path, name: str) -> list[Path]:
    return write_c(acting_of(model, _statistics(env)), folder, name)


def _dense(model: BaseAlgorithm, env: VecEnv, folder: Path, name: str) -> list[Path]:
    dense = densify(model) if isinstance(model.policy, SparsePolicyMixin) else model
    dense.save(folder / f"{name}.zip")
    return [folder / f"{name}.zip"]


def _tensors(model: BaseAlgorithm, env: VecEnv, folder: Path, name: str) -> list[Path]:
    write_tensors(model, folder / f"{name}.safetensors")
    return [folder / f"{name}.safetensors"]


FORMATS: Mapping[str, Callable[[BaseAlgorithm, VecEnv, Path, str], list[Path]]] = {
    "onnx": _onnx,
    "c": _c,
    "dense-sb3": _dense,
    "safetensors": _tensors,
}


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(ExportArguments, "export", argv)
    if arguments.format not in FORMATS:
        raise unknown("format", arguments.format, FORMATS)
    if not arguments.name or Path(arguments.name).name != arguments.name:
        raise ConfigurationError(f"--name {arguments.name!r} is not the name of a file.")
    saved = SavedAgent.find(arguments)
    output_folder(arguments.out, "--out")
    model, env = saved.load()
    files = FORMATS[arguments.format](model, env, arguments.out, arguments.name)
    if arguments.json:
        print(json.dumps({"model": str(saved.path), "format": arguments.format, "files": [str(f) for f in files]}))
    else:
        print("\n".join(f"{file}  {file.stat().st_size:,} bytes" for file in files))
