"""Agents of Stable-Baselines3 that learn one environment after the other."""
