"""scikit-learn's 1797 handwritten digits of 8 by 8 pixels, which come with the package."""

from __future__ import annotations

import torch

from sparse_agents.continual.supervised.tasks import Samples
from sparse_agents.errors import ConfigurationError

SHAPE = (8, 8)


def digits(test_share: float = 0.2) -> tuple[Samples, Samples]:
    """To train on and to test, always the same: brightness in 0..1.

    Args:
        test_share: the part that is for testing.

    Raises:
        ConfigurationError: where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ConfigurationError("The digits need scikit-learn: pip install sparse-agents[experiments]") from error
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        images.astype("float32") / 16, labels.astype("int64"), test_size=test_share, random_state=0, stratify=labels
    )
    x_train, x_test, y_train, y_test = (torch.from_numpy(part) for part in parts)
    return Samples(x_train, y_train), Samples(x_test, y_test)
