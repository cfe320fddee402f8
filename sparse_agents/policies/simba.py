"""A residual features extractor that goes on improving as it grows, sparse above all."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from sparse_agents.errors import ConfigurationError

EXPANSION = 4


class SimBaExtractor(BaseFeaturesExtractor):
    """Observations through a linear layer, residual blocks and a LayerNorm: ``[batch, width]``.

    Lee et al., "SimBa: simplicity bias for scaling up parameters in deep reinforcement learning", ICLR 2025, section 4.
    Ma et al., "Network sparsity unlocks the scaling potential of deep reinforcement learning", ICML 2025, train it at
    80 and 90% sparsity (``topology="static"``, ``distribution="erk"``), AdamW.

    Differences from the authors' code: theirs normalises observations by running statistics inside the network, which
    here is ``VecNormalize(env, norm_reward=False)``. As it extracts features of observations, a critic of
    Stable-Baselines3 puts actions behind it, into ``net_arch["qf"]``, where theirs go in with the observations.

    Args:
        observation_space: of vectors.
        width: of the features, and of what the blocks add to.
        blocks: residual blocks, each with ``4 * width`` units inside.
    """

    def __init__(self, observation_space: spaces.Space[Any], width: int = 256, blocks: int = 2) -> None:
        encoded = isinstance(observation_space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
        if not encoded and not (isinstance(observation_space, spaces.Box) and len(observation_space.shape) == 1):
            raise ConfigurationError(
                f"SimBaExtractor takes observations that are vectors, and these are {observation_space}."
            )
        for name, value in (("width", width), ("blocks", blocks)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name}={value!r}: a whole number, at least 1.")
        super().__init__(observation_space, width)
        embedding = nn.Linear(get_flattened_obs_dim(observation_space), width)
        nn.init.orthogonal_(embedding.weight)
        nn.init.zeros_(embedding.bias)
        residual = [ResidualBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(nn.Flatten(), embedding, *residual, nn.LayerNorm(width))

    def forward(self, observations: Tensor) -> Tensor:
        features: Tensor = self.layers(observations)
        return features


class ResidualBlock(nn.Module):
    """``x + MLP(LayerNorm(x))``, the MLP having one hidden layer of ``4 * width`` units."""

    def __init__(self, width: int) -> None:
        super().__init__()
        up, down = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)
        for layer in (up, down):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.inside = nn.Sequential(nn.LayerNorm(width), up, nn.ReLU(), down)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.inside(x))
