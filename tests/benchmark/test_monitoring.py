"""What monitors cost is measured record by record."""

from __future__ import annotations

import pytest

from sparse_agents.benchmark import monitoring
from sparse_agents.callbacks import MONITORS


def test_every_monitor_is_timed_beside_all_of_them() -> None:
    found = {cost.monitors: cost for cost in monitoring("Pendulum-v1", width=16, batch=8, records=3)}
    assert list(found) == ["by default", *MONITORS]
    for name, cost in found.items():
        assert 0 < cost.median_seconds <= cost.longest_seconds, name
        assert cost.share * 1000 * cost.step_seconds == pytest.approx(cost.mean_seconds)
    # of three records a rare monitor writes at the first alone
    assert found["rank"].every > 3
    assert found["rank"].median_seconds < found["rank"].longest_seconds
