"""Data of the shape of the Leukemia microarrays: very many inputs, few samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError

GENES, CLASSES, SAMPLES = 54_675, 18, 2096
"""Of GSE13159, as Liu et al. (2021) use it."""
TRAINING_SHARE = 2 / 3
INFORMATIVE_GENES = 500
EFFECT = 1.0


@dataclass(frozen=True)
class GeneExpression:
    """Standardised samples to train on and to test with.

    Attributes:
        x, x_test: ``[samples, genes]``.
        y, y_test: ``[samples]``, class numbers.
        classes: how many.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int

    @classmethod
    def split(cls, x: Tensor, y: Tensor, seed: int) -> GeneExpression:
        """Two thirds to train on; genes are standardised by these."""
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        count = round(TRAINING_SHARE * len(x))
        train, test = order[:count], order[count:]
        mean, deviation = x[train].mean(0), x[train].std(0).clamp_min(1e-6)
        x = x.sub_(mean).div_(deviation)
        return cls(x[train], y[train], x[test], y[test], int(y.max()) + 1)


def planted(
    samples: int = SAMPLES, genes: int = GENES, classes: int = CLASSES, effect: float = EFFECT, seed: int = 0
) -> GeneExpression:
    """Noise, in which each class shifts genes of its own, some up and some down.

    Every gene is N(0, 1); in samples of a class 500 genes (or a hundredth of them, where there are fewer than 50,000)
    are shifted by ±``effect``, so that no single gene tells much and all together do.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (samples,), generator=generator)
    x = torch.randn(samples, genes, generator=generator)
    count = min(INFORMATIVE_GENES, max(1, genes // 100))
    for label in range(classes):
        chosen = torch.randperm(genes, generator=generator)[:count]
        sign = 2.0 * torch.randint(2, (count,), generator=generator) - 1
        shift = torch.zeros(genes)
        shift[chosen] = effect * sign
        x[y == label] += shift
    return GeneExpression.split(x, y, seed)


def read_csv(path: Path, seed: int = 0) -> GeneExpression:
    """A row per sample and a header: genes in columns, and the class, by any name, in the last one.

    Raises:
        ConfigurationError: naming the file and what is wrong with it.
    """
    if not path.is_file():
        raise ConfigurationError(f"There is no file {path}.")
    try:
        table = pd.read_csv(path)
        codes, _ = pd.factorize(table.iloc[:, -1], sort=True)
        values = table.iloc[:, :-1].to_numpy(dtype="float32")
    except (ValueError, pd.errors.ParserError) as error:
        raise ConfigurationError(f"{path} is not a table of numbers and, last, the class: {error}") from error
    x, y = torch.from_numpy(values.copy()), torch.from_numpy(codes.astype("int64"))
    if not bool(torch.isfinite(x).all()) or bool((y < 0).any()):
        raise ConfigurationError(f"{path} has missing or infinite values.")
    classes = len(y.unique())
    if len(x) < 3 or classes < 2 or x.shape[1] < 1:
        raise ConfigurationError(
            f"{path} has {len(x)} samples of {x.shape[1]} genes and {classes} classes: too few to learn from."
        )
    return GeneExpression.split(x, y, seed)
