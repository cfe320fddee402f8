"""What Sokar et al. (2022) trained, and what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ENVIRONMENTS: Mapping[str, int] = {
    "HalfCheetah-v5": 7,
    "Hopper-v5": 7,
    "Walker2d-v5": 7,
    "Ant-v5": 40,
    "Humanoid-v5": 61,
}
"""λ of the first layers; that of the second ones is 64."""
STEPS = 1_000_000
EVALUATION_INTERVAL = 5000
EVALUATION_EPISODES = 10
LAST_EVALUATIONS = 10
"""Over which the return of a run is averaged."""


@dataclass(frozen=True)
class Variant:
    """One line of the paper's tables.

    Attributes:
        name: the paper's.
        algorithm: of the train command.
        flags: of the train command, that make it this variant; the environment's λ goes into ``{first_lambda}``.
    """

    name: str
    algorithm: str
    flags: Sequence[str]

    def arguments(self, env: str, seed: int, steps: int) -> tuple[str, ...]:
        """Of the train command, but for where it writes."""
        flags = [flag.format(first_lambda=ENVIRONMENTS[env]) for flag in self.flags]
        return (
            "--algo", self.algorithm, "--env", env, "--seed", str(seed), "-n", str(steps), *flags,
            "--eval-freq", str(EVALUATION_INTERVAL), "--eval-episodes", str(EVALUATION_EPISODES),
            "--num-threads", "1", "--verbose", "0",
        )  # fmt: skip


_DENSE = (
    "--policy", "MlpPolicy", "--hyperparams", "learning_rate:1e-3", "batch_size:100", "learning_starts:25000",
    "noise_type:normal", "noise_std:0.1",
    "policy_kwargs:{{'net_arch':[256,256],'optimizer_kwargs':{{'weight_decay':2e-4}}}}",
)  # fmt: skip
_SPARSE = ("--hyperparams", "policy_kwargs:{{'lambdas':[{first_lambda},64]}}")
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("TD3", "td3", _DENSE),
        Variant("Static-TD3", "ds_td3", ("--topology", "static", *_SPARSE)),
        Variant("DS-TD3", "ds_td3", _SPARSE),
    )
}


class Published(NamedTuple):
    """Of five seeds, a million steps, the environments' third versions.

    Attributes:
        mean: return over the last ten evaluations.
        deviation: of that over seeds.
        area: under the learning curve: the mean return of all evaluations, over 5000.
    """

    mean: float
    deviation: float
    area: float


PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "HalfCheetah-v5": {
        "TD3": Published(11153, 473, 1.7686),
        "Static-TD3": Published(10584, 307, 1.7666),
        "DS-TD3": Published(11460, 483, 1.9560),
    },
    "Walker2d-v5": {
        "TD3": Published(4042, 577, 0.5264),
        "Static-TD3": Published(3951, 444, 0.5167),
        "DS-TD3": Published(4871, 525, 0.6956),
    },
    "Hopper-v5": {
        "TD3": Published(2185, 1224, 0.4788),
        "Static-TD3": Published(3571, 44, 0.4984),
        "DS-TD3": Published(3587, 71, 0.5435),
    },
    "Ant-v5": {
        "TD3": Published(4288, 1081, 0.5524),
        "Static-TD3": Published(4149, 801, 0.5807),
        "DS-TD3": Published(5012, 597, 0.6623),
    },
    "Humanoid-v5": {
        "TD3": Published(3809, 1053, 0.3635),
        "Static-TD3": Published(4989, 546, 0.5182),
        "DS-TD3": Published(5238, 122, 0.6089),
    },
}
"""Tables 1 and 2 of the paper."""
