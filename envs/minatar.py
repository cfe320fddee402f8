"""MinAtar's games with one space for all."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

SIZE = 10
CHANNELS = 10
"""Of the game that has most, Seaquest."""


class MinAtar(gym.Env[NDArray[np.float32], np.int64], EzPickle):
    """A game of MinAtar for networks without convolutions, the same in observations and actions for every game.

    Young and Tian, "MinAtar: An Atari-Inspired Testbed for Thorough and Reproducible Reinforcement Learning
    Experiments", 2019; github.com/kenjyoung/MinAtar, version 1.

    Observations are ``[1000]``: what is where on 10 by 10 squares, 0 or 1, square by square, ten kinds of things for
    each; games that know fewer leave the others at 0, and the same channel is another thing in another game. Actions
    are all six: nothing, left, up, right, down, fire. One in ten is the one before instead (``sticky_actions``), and
    games become harder the longer they last. Rewards are the game's.

    Args:
        game: ``"asterix"``, ``"breakout"``, ``"freeway"``, ``"seaquest"`` or ``"space_invaders"``.
        sticky_actions: the probability that the last action is repeated.
        ramping: whether games become harder.
    """

    def __init__(self, game: str, sticky_actions: float = 0.1, ramping: bool = True) -> None:
        EzPickle.__init__(self, game, sticky_actions, ramping)
        try:
            from minatar import Environment
        except ImportError as error:
            raise gym.error.DependencyNotInstalled("pip install sparse-agents[minatar]") from error
        self._game = Environment(game, sticky_action_prob=sticky_actions, difficulty_ramping=ramping)
        self.observation_space = spaces.Box(0.0, 1.0, (SIZE * SIZE * CHANNELS,), np.float32)
        self.action_space = spaces.Discrete(self._game.num_actions())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._game.seed(int(self.np_random.integers(2**31)))
        self._game.last_action = 0
        self._game.reset()
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        reward, over = self._game.act(int(action))
        return self._observation(), float(reward), bool(over), False, {}

    def _observation(self) -> NDArray[np.float32]:
        state = self._game.state()
        padded = np.zeros((SIZE, SIZE, CHANNELS), np.float32)
        padded[:, :, : state.shape[2]] = state
        return padded.reshape(-1)
