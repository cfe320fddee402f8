"""Operations and bytes are those one counts by hand."""

from __future__ import annotations

import pytest

from sparse_agents.benchmark.roofline import _network, points, work


def test_two_layers_by_hand() -> None:
    operations, loaded = work([(4, 3, 5), (2, 4, 6)], batch=10)
    assert operations == 10 * (5 * 4 + 6 * 6)
    forward = 40 + 8
    assert loaded == 5 * (forward + 40 + 8) + 6 * (forward + 40 + 8 + 3 * 64)


def test_a_network_has_the_connections_it_is_said_to_have() -> None:
    network = _network((30, 200, 100, 5), 0.9)
    total = 30 * 200 + 200 * 100 + 100 * 5
    assert sum(layer.edges.nnz for layer in network.layers) == pytest.approx(0.1 * total, rel=0.01)
    (point,) = points({"small": ((30, 200, 100, 5), 0.9, 8)})
    assert 0 < point.seconds < 1
