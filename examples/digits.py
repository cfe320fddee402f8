"""A classifier of handwritten digits with one connection in fifty, its topology evolving as its optimizer steps.

python examples/digits.py --topology rigl
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from sklearn.datasets import load_digits
from torch import nn

from sparse_agents import sparsify
from sparse_agents.cli import run_command


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--sparsity", type=float, default=0.98, help="fraction of absent connections")
    parser.add_argument("--topology", default="set", help="the rule by which connections come and go")
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps")
    arguments = parser.parse_args(argv)

    torch.manual_seed(0)
    images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    images = images.float() / 16
    order = torch.randperm(len(images))
    train, test = order[300:], order[:300]

    network = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    when = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "cosine", "end": arguments.steps * 3 // 4}
    timed = {} if arguments.topology == "static" else when
    controller = sparsify(network, sparsity=arguments.sparsity, topology=arguments.topology, topology_kwargs=timed)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    controller.attach(optimizer)
    for step in range(1, arguments.steps + 1):
        batch = train[torch.randint(len(train), (64,))]
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(1, arguments.steps // 5) == 0:
            right = (network(images[test]).argmax(dim=1) == labels[test]).float().mean()
            print(f"step {step:5}  {controller.connections} connections  {right:.1%} of the test digits right")


if __name__ == "__main__":
    run_command(main)
