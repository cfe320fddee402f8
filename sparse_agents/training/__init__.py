"""Gradient steps without autograd: one call of the kernel library per update."""

from sparse_agents.training.actor_critic import networks_of
from sparse_agents.training.engine import Engine
from sparse_agents.training.natively import GradientStep, TrainsNatively
from sparse_agents.training.sac import SACStep
from sparse_agents.training.td3 import TD3Step

__all__ = ["Engine", "GradientStep", "SACStep", "TD3Step", "TrainsNatively", "networks_of"]
