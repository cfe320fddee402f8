"""A table of runs, filled in by several processes, that can be stopped at any time and taken up again."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sparse_agents.errors import CheckpointError

Job = Mapping[str, Any]


def run_grid(
    jobs: Sequence[Job],
    function: Callable[..., Mapping[str, Any]],
    path: Path,
    results: Sequence[str],
    workers: int = 1,
) -> list[dict[str, str]]:
    """Run ``function(**job)`` for every job that the table does not hold yet.

    A row is written, and synced to disk, as soon as its run is finished; a run that is cut short is simply not there,
    and will be run again.

    Args:
        jobs: keyword arguments; all with the same keys.
        function: importable by name, for it runs in other processes.
        path: the table, CSV, with a column for every key and every result.
        results: names of what ``function`` returns.
        workers: processes, each with one torch thread.

    Returns:
        All rows of these jobs, as written, in the order of the jobs.
    """
    if not jobs:
        return []
    keys = list(jobs[0])
    done = {_identity(row, keys): row for row in _read(path, [*keys, *results])}
    left = [job for job in jobs if _identity(job, keys) not in done]
    if left:
        path.parent.mkdir(parents=True, exist_ok=True)
        executor = ProcessPoolExecutor(workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))
        try:
            futures: dict[Future[Mapping[str, Any]], Job] = {executor.submit(function, **job): job for job in left}
            with tqdm(total=len(jobs), initial=len(jobs) - len(left), unit=" runs") as bar:
                for future in as_completed(futures):
                    row = {**futures[future], **future.result()}
                    _append(path, [*keys, *results], row)
                    done[_identity(row, keys)] = {name: str(row[name]) for name in (*keys, *results)}
                    bar.set_description(", ".join(str(futures[future][key]) for key in keys))
                    bar.update()
        except BaseException:
            workers_left = list((executor._processes or {}).values())  # which the shutdown forgets
            executor.shutdown(wait=False, cancel_futures=True)
            for process in workers_left:
                process.terminate()
            raise
        executor.shutdown()
    return [done[_identity(job, keys)] for job in jobs]


def _identity(row: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys)


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Whole rows; a last line that was cut short by a kill is dropped from the file."""
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    reader = csv.DictReader(whole.splitlines())
    if reader.fieldnames is not None and list(reader.fieldnames) != list(columns):
        raise CheckpointError(
            f"{path} has the columns {', '.join(reader.fieldnames)}, not {', '.join(columns)}: it is another table. "
            "Name another file, or move this one away."
        )
    return list(reader)


def _append(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    new = not path.is_file() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({name: row[name] for name in columns})
        file.flush()
        os.fsync(file.fileno())
