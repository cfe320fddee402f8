"""Checkpoints of the replay buffer: each complete, each written only where it is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from sparse_agents.errors import CheckpointError
from sparse_agents.runs import replay_segments
from sparse_agents.runs.replay_segments import MOST, Segments

OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (2,), np.float64), spaces.Box(-1, 1, (1,), np.float32)
ROWS = 16


def buffer(kind: type = ReplayBuffer, n_envs: int = 1, **options: Any) -> Any:
    space = spaces.Dict(a=OBSERVATIONS, b=OBSERVATIONS) if kind is DictReplayBuffer else OBSERVATIONS
    return kind(ROWS * n_envs, space, ACTIONS, device="cpu", n_envs=n_envs, **options)


def add(ring: Any, transitions: int, generator: np.random.Generator) -> None:
    """Observations follow each other, as they do in an episode."""
    now = getattr(ring, "now", None)
    for _ in range(transitions):
        then = generator.standard_normal((ring.n_envs, 2))
        now = then if now is None else now
        one, two = ({"a": o, "b": -o} if isinstance(ring, DictReplayBuffer) else o for o in (now, then))
        reward, done = generator.standard_normal((2, ring.n_envs))
        infos = [{"TimeLimit.truncated": bool(done[0] > 1)}] * ring.n_envs
        ring.add(one, two, generator.standard_normal((ring.n_envs, 1)), reward, done > 0, infos)
        now = then
    ring.now = now


def contents(ring: Any) -> dict[str, Any]:
    rows = ROWS if ring.full else ring.pos
    found = {}
    for name in replay_segments.APPENDED:
        value = getattr(ring, name, None)
        if isinstance(value, dict):
            found |= {f"{name}/{k}": v[:rows].copy() for k, v in value.items()}
        elif value is not None:
            end = rows
            if name == "observations" and ring.optimize_memory_usage:
                end = min(rows + 1, ROWS)  # the last one's successor
            found[name] = value[:end].copy()
    return found


def restored(ring: Any, folder: Path, segments: Segments) -> dict[str, Any]:
    fresh = buffer(
        type(ring),
        ring.n_envs,
        optimize_memory_usage=ring.optimize_memory_usage,
        handle_timeout_termination=ring.handle_timeout_termination,
    )
    replay_segments.read(fresh, folder, segments)
    fresh.pos, fresh.full = ring.pos, ring.full
    return contents(fresh)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


@given(
    steps=st.lists(st.integers(0, 2 * ROWS), min_size=1, max_size=12),
    before=st.integers(0, 2 * ROWS),
    kind=st.sampled_from(["plain", "two environments", "dictionaries", "successors not stored"]),
)
@settings(max_examples=60, deadline=None)
def test_both_kept_checkpoints_are_complete_at_any_time(
    steps: list[int], before: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    generator = np.random.default_rng(0)
    ring = {
        "plain": lambda: buffer(),
        "two environments": lambda: buffer(n_envs=2),
        "dictionaries": lambda: buffer(DictReplayBuffer),
        "successors not stored": lambda: buffer(optimize_memory_usage=True, handle_timeout_termination=False),
    }[kind]()
    add(ring, before, generator)  # a buffer that somebody filled before the run
    kept: list[tuple[Segments, dict[str, Any], int, bool]] = []
    added = 0
    for step in steps:
        add(ring, step, generator)
        added = step
        segments = replay_segments.write(ring, folder, kept[-1][0] if kept else None, added)
        kept = [*kept[-1:], (segments, contents(ring), ring.pos, ring.full)]
        replay_segments.forget(folder, {name for one in kept for name in one[0].names})
        now = (ring.pos, ring.full)
        for one, expected, ring.pos, ring.full in kept:
            assert_same(restored(ring, folder, one), expected)
        ring.pos, ring.full = now
    on_disk = sum(int(p.name.split("_")[1]) - int(p.name.split("_")[0]) for p in (folder / "replay").glob("*"))
    assert on_disk <= 4 * ROWS + len(steps)


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    ring = buffer()
    add(ring, 10, generator)
    first = replay_segments.write(ring, tmp_path, None, 0)
    add(ring, 3, generator)
    second = replay_segments.write(ring, tmp_path, first, 3)
    assert second.names == ["0_10_0.safetensors", "9_13_0.safetensors"]
    add(ring, 14, generator)  # all of the first segment is overwritten
    third = replay_segments.write(ring, tmp_path, second, 14)
    assert third.names == ["9_13_0.safetensors", "12_27_0.safetensors"]


def test_the_last_transition_may_have_changed_since(tmp_path: Path) -> None:
    """Where a resumed run ends its episode."""
    generator = np.random.default_rng(0)
    ring = buffer()
    add(ring, 10, generator)
    segments = replay_segments.write(ring, tmp_path, None, 0)
    for added in (0, 3):
        ring.timeouts[ring.pos - 1] = 1 - ring.timeouts[ring.pos - 1]
        add(ring, added, generator)
        segments = replay_segments.write(ring, tmp_path, segments, added)
        assert_same(restored(ring, tmp_path, segments), contents(ring))


@pytest.mark.parametrize("successors_stored", [True, False])
def test_a_large_buffer_is_written_in_pieces(
    successors_stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_segments, "ROWS", 2)
    monkeypatch.setattr(replay_segments, "PIECES", 4)
    options = {} if successors_stored else {"optimize_memory_usage": True, "handle_timeout_termination": False}
    ring = buffer(**options)
    add(ring, ROWS + 3, np.random.default_rng(0))
    segments = replay_segments.write(ring, tmp_path, None, 0)
    assert segments.names == [f"{n}_{n + 4}_0.safetensors" for n in (3, 7, 11, 15)]
    assert_same(restored(ring, tmp_path, segments), contents(ring))


def test_what_does_not_follow_is_written_anew(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    ring = buffer()
    add(ring, 10, generator)
    first = replay_segments.write(ring, tmp_path, None, 0)
    add(ring, 2, generator)
    assert replay_segments.write(ring, tmp_path, first, 5).names == ["0_12_0.safetensors"], "positions disagree"
    add(ring, ROWS, generator)
    assert len(replay_segments.write(ring, tmp_path, first, 2 + ROWS).names) == 1, "nothing old is left"


def test_a_buffer_of_ones_own_is_written_whole(tmp_path: Path) -> None:
    class Relabelling(ReplayBuffer):
        pass

    generator = np.random.default_rng(0)
    ring = buffer(Relabelling)
    add(ring, 10, generator)
    first = replay_segments.write(ring, tmp_path, None, 0)
    ring.rewards[:] = 7
    add(ring, 2, generator)
    second = replay_segments.write(ring, tmp_path, first, 2)
    assert_same(restored(ring, tmp_path, second), contents(ring))
    assert second.names == ["0_12_0.safetensors"]


def test_many_segments_become_one(tmp_path: Path) -> None:
    ring = ReplayBuffer(1000, OBSERVATIONS, ACTIONS, device="cpu")
    generator = np.random.default_rng(0)
    segments = None
    lengths = []
    for _ in range(MOST + 3):
        add(ring, 1, generator)
        segments = replay_segments.write(ring, tmp_path, segments, 1)
        lengths.append(len(segments.names))
    assert max(lengths) == MOST
    assert lengths[-3:] == [1, 2, 3]


def test_half_a_segment_of_a_killed_process_is_in_nobodys_way(tmp_path: Path) -> None:
    ring = buffer()
    generator = np.random.default_rng(0)
    add(ring, 10, generator)
    first = replay_segments.write(ring, tmp_path, None, 0)
    (tmp_path / "replay" / "9_13_0.safetensors").write_bytes(b"half")
    add(ring, 3, generator)
    second = replay_segments.write(ring, tmp_path, first, 3)
    assert_same(restored(ring, tmp_path, second), contents(ring))
    replay_segments.forget(tmp_path, second.names)
    assert sorted(p.name for p in (tmp_path / "replay").iterdir()) == sorted(second.names)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "missing", "empty"])
def test_damage_is_named(damage: str, tmp_path: Path) -> None:
    ring = buffer()
    add(ring, 10, np.random.default_rng(0))
    segments = replay_segments.write(ring, tmp_path, None, 0)
    path = tmp_path / "replay" / segments.names[0]
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "foreign": b"hello " * 50, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"0_10_0\.safetensors is damaged"):
        replay_segments.read(buffer(), tmp_path, segments)


def test_a_buffer_of_another_size_is_refused(tmp_path: Path) -> None:
    ring = buffer()
    add(ring, 10, np.random.default_rng(0))
    segments = replay_segments.write(ring, tmp_path, None, 0)
    with pytest.raises(CheckpointError, match="has 16 rows, and this agent's 99"):
        replay_segments.read(ReplayBuffer(99, OBSERVATIONS, ACTIONS, device="cpu"), tmp_path, segments)
