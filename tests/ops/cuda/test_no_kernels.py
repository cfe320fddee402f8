"""Devices that the kernels do not run on."""

from __future__ import annotations

import pytest
import torch

from sparse_agents.ops.cuda import compiler, device, launcher_for, no_kernels

DEVICE = torch.device("cuda", 7)


@pytest.mark.parametrize(("capability", "runs"), [((7, 5), False), ((8, 0), True), ((9, 0), True), ((12, 0), True)])
def test_old_ones_are_told(capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    expected = "kernels for CUDA devices need compute capability 8.0, and this one has 7.5."
    assert no_kernels(DEVICE) == (None if runs else expected)


def test_without_a_compiler_torch_computes_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "available", lambda: False)
    device._launcher.cache_clear()
    with pytest.warns(UserWarning, match=r"slowly on this device, by torch alone: .* need cuda-core"):
        assert launcher_for(DEVICE) is None
    assert launcher_for(DEVICE) is None
    device._launcher.cache_clear()
