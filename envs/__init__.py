"""Gymnasium environments and task variants. Import as ``sparse_agents.envs``."""
