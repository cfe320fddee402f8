"""Measures of networks that are not in the processor's memory."""

from __future__ import annotations

import pretended
import torch
from training_run import Run

from sparse_agents.measures import Exploration, connectivity, input_strength, topology_distance


def test_what_is_measured_there_is_what_is_measured_here() -> None:
    with pretended.Device(), pretended.drawing_as_the_processor():
        there = list(Run("set", device=str(pretended.DEVICE)).train(7).layers.values())
        found = [connectivity(layer.topology.edges, layer.weight, size=5).held for layer in there]
        strengths = [input_strength(layer.topology.edges, layer.weight).held for layer in there]
        edges = [layer.topology.edges for layer in there]
        distances = topology_distance(edges, edges)
        seen = Exploration(edges[0])
        seen.add(edges[0])
    here = list(Run("set").train(7).layers.values())
    for layer, picture, strength in zip(here, found, strengths, strict=True):
        torch.testing.assert_close(picture, connectivity(layer.topology.edges, layer.weight, size=5))
        torch.testing.assert_close(strength, input_strength(layer.topology.edges, layer.weight))
    assert distances == [0.0, 0.0, 0.0]
    assert seen.rate == edges[0].density
