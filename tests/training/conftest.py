"""Float64 through the whole of an agent."""

from __future__ import annotations

import pytest
from sb3_helpers import DoubleFlatten

from sparse_agents.training import eligibility


@pytest.fixture
def any_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stable-Baselines3 casts observations to float; only an extractor of our own can give networks doubles."""
    monkeypatch.setattr(eligibility, "FlattenExtractor", DoubleFlatten)
