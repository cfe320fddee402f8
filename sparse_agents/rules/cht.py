"""Cannistraci-Hebb training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import unknown
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.link_prediction import PREDICTORS
from sparse_agents.rules.scores import magnitude_drop, random_growth
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Edges, ascending, union


class CHT(ExchangeRule):
    """Grow where the topology itself predicts a connection, by the paths of length three around it.

    Zhang, Zhao, Wu, Muscoloni, Cannistraci, "Epitopological learning and Cannistraci-Hebb network shape intelligence
    brain-inspired theory for ultra-sparse advantage in deep learning", ICLR 2024: drop the ⌊ζ·nnz⌋ smallest |w|; grow
    as many of the largest CH3-L3p score on the graph that is left,

        CH3-L3p(u, v) = Σ over paths u – z1 – z2 – v of 1 / √((1 + e(z1)) (1 + e(z2))),

    e(z) being the links of z that lead neither to u or v nor into their local community, the inner nodes of all such
    paths. Connections without a path are drawn at random. One dropped and grown at once keeps its value and moments. No
    gradient is needed.

    There are O(nnz²) paths: most connections are told apart by bounds on their scores, which take O(nnz · units), and
    only the others by their paths. Zhang, Cerretti, Zhao, Liao, Wu, Michieli, Cannistraci, "Brain network science
    modelling of sparse neural networks enables Transformers and LLMs to perform as fully connected", NeurIPS 2025,
    score by nodes,

        CH2-L3n(u, v) = Σ over inner nodes z of (1 + i(z)) / (1 + e(z)),

    i(z) being the links of z into the local community.

    Differences from the authors' code: units that lose all their connections are not removed from the network, and
    training starts from any distribution of connections, where theirs may start from a correlated one. The later
    paper's sampling of connections by score is not built.

    Args:
        predictor: ``"ch3-l3p"`` by paths, ``"ch2-l3n"`` by nodes.
    """

    keep_regrown = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.3, "schedule": "constant"}

    def __init__(self, predictor: str = "ch3-l3p") -> None:
        if predictor not in PREDICTORS:
            raise unknown("predictor", predictor, PREDICTORS)
        self.predict = PREDICTORS[predictor]

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return magnitude_drop(layer, fraction)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        predicted = self.predict(Edges.from_ids(survivors, layer.edges.shape), layer, count)
        taken = union(survivors, ascending(predicted))
        return torch.cat([predicted, random_growth(layer, taken, count - len(predicted))])
