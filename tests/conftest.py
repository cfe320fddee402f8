"""Settings and fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

from sparse_agents.ops import backend_info, chain, select_isa, supported_isas

settings.register_profile(
    "repeatable",
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")

FASTEST = backend_info().isa


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """A known seed and one thread, for on a busy machine threads wait for each other; afterwards all as it was."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)  # commands set it
    if FASTEST is not None:
        select_isa(FASTEST)


@pytest.fixture(params=supported_isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of this machine, in force for what the test builds."""
    select_isa(request.param)
    return str(request.param)


@pytest.fixture
def reference_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains built in this test find no compiled kernels."""
    monkeypatch.setattr(chain, "library", lambda: None)


@pytest.fixture(params=["native", "reference"])
def backend(request: pytest.FixtureRequest) -> str:
    """Both ways to run a chain."""
    if request.param == "reference":
        request.getfixturevalue("reference_path")
    return str(request.param)
