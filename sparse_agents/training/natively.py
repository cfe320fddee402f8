"""An algorithm's ``train()`` by native steps wherever these can do what it would have done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn
from torch.utils.hooks import RemovableHandle

from sparse_agents.control import StepListener, owners_of_hooks
from sparse_agents.ops.cuda import launcher_for
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.training.device_engine import DeviceEngine
from sparse_agents.training.eligibility import why_not
from sparse_agents.training.engine import Engine, HostEngine
from sparse_agents.training.losses import Means, Sums
from sparse_agents.training.optimizers import has_begun, steps_natively
from sparse_agents.training.resident import DeviceBuffers
from sparse_agents.training.signature import Signature, optimizers_of

NOT_SAVED = ("_compiled", "_buffers", "_own_hooks")
COUNTED_ALREADY = ("train/n_updates", "train/learning_rate")


class GradientStep(Protocol):
    """One algorithm's update, compiled for the tensors as they lie now."""

    def configure(self) -> None:
        """Take over settings that may have changed since the last call of ``train()``."""

    def run(self, updates: int) -> None:
        """The ``updates``-th update."""

    def follow(self) -> bool:
        """Take over what another update has left, with other connections perhaps; False: that takes another step."""

    def collect(self) -> Sums:
        """What is to be logged of the updates since the last time."""


class TrainsNatively(OffPolicyAlgorithm):
    """Has minibatch, networks, optimizers and targets of each update run in one call of the kernel library.

    The same update as Stable-Baselines3's own: same minibatches, same noise, and the optimizers' state stays theirs.
    Steps at which a topology rule looks at gradients or rewires go through Stable-Baselines3's ``train()``, and so does
    everything where :meth:`why_not_native` gives a reason.

    What parameters have in ``.grad`` afterwards is what their optimizer took: critics' without the actor's loss, and of
    SAC's two output layers that of the last step by Stable-Baselines3.
    """

    _compiled: Compiled | None = None
    _told: str | None = None
    _buffers: DeviceBuffers | None = None
    _own_hooks: Sequence[RemovableHandle] = ()

    def _setup_model(self) -> None:
        super()._setup_model()
        self._own_hooks = self.listen()

    def listen(self) -> Sequence[RemovableHandle]:
        """Register the algorithm's own hooks on its optimizers' steps."""
        return ()

    def networks_trained(self) -> Mapping[str, nn.Module]:
        """What an update runs, by name."""
        raise NotImplementedError

    def engine(self) -> Engine:
        """What updates run on."""
        if self.device.type == "cpu":
            return HostEngine()
        launcher = launcher_for(self.device)
        assert launcher is not None
        self._buffers = self._buffers or DeviceBuffers()
        return DeviceEngine(launcher, self._buffers)

    def native_step(self, batch_size: int, engine: Engine) -> GradientStep:
        """Compile an update."""
        raise NotImplementedError

    def steps_taken_by(self, updates: int) -> Mapping[str, bool]:
        """Whether each network's optimizer takes a step in the ``updates``-th update."""
        raise NotImplementedError

    def other_optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """That take a step in every update, beside those of the policy's networks."""
        return {}

    def before_native_update(self) -> None:
        """What the algorithm's own hooks would have done."""

    def why_not_native(self) -> str | None:
        """What keeps the agent from being trained natively, in words, or None."""
        policy = self.policy
        if not isinstance(policy, SparsePolicyMixin):
            return f"{type(policy).__name__} is not sparse"
        optimizers = {**optimizers_of(policy), **self.other_optimizers()}
        return why_not(self, self.networks_trained(), optimizers, self._own_hooks)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        compiled = self._current(batch_size)
        if compiled.reason is not None:
            super().train(gradient_steps, batch_size)
            return
        self._update_learning_rate(list(compiled.optimizers.values()))
        if compiled.step is not None:
            compiled.step.configure()
        logged = Means()
        for _ in range(gradient_steps):
            self._update(batch_size, logged)
        assert self._compiled is not None
        self._compiled.collect(logged)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in logged.items():
            self.logger.record(name, value)

    def _update(self, batch_size: int, logged: Means) -> None:
        """One of them, natively unless a topology rule wants to look on."""
        compiled = self._compiled
        assert compiled is not None
        if compiled.step is None:
            compiled = self._current(batch_size)
        stepping = [name for name, steps in self.steps_taken_by(self._n_updates + 1).items() if steps]
        if compiled.step is not None and all(one.quiet for name in stepping for one in compiled.listeners[name]):
            self._n_updates += 1
            self.before_native_update()
            compiled.step.run(self._n_updates)
            return
        compiled.collect(logged)
        values = self.logger.name_to_value
        before = dict(values)
        super().train(1, batch_size)
        if not compiled.follow(self, batch_size):
            compiled.step = None
        told = [name for name in values if name.startswith("train/") and name not in COUNTED_ALREADY]
        logged.add({name: (values[name], 1) for name in told if values[name] is not before.get(name)})

    def _current(self, batch_size: int) -> Compiled:
        """The step for the tensors as they lie now, made anew where they have moved."""
        compiled = self._compiled
        if compiled is None or not compiled.fits(self, batch_size):
            compiled = self._compiled = Compiled(self, batch_size, self.other_optimizers())
            reason = compiled.reason = self.why_not_native()
            if reason is not None:
                self._buffers = None  # nobody would keep them up to date
            if reason is not None and reason != self._told:
                self._told = reason
                warnings.warn(f"Training by Stable-Baselines3's own step, not the native one: {reason}.", stacklevel=3)
            if reason is None and all(map(has_begun, filter(steps_natively, compiled.optimizers.values()))):
                with torch.device(self.device):  # what a step needs lies where the networks lie
                    compiled.step = self.native_step(batch_size, self.engine())
                compiled.step.configure()
        return compiled

    def __getstate__(self) -> dict[str, Any]:
        """A step is good for the tensors it was compiled for, and copied optimizers leave their hooks behind."""
        return {name: value for name, value in vars(self).items() if name not in NOT_SAVED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "policy" in state:
            self._own_hooks = self.listen()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), *NOT_SAVED, "_told"]


class Compiled:
    """A step, and where everything lay when it was compiled.

    Attributes:
        step: None where there is none to be had, yet or at all.
        reason: why there is none at all.
        optimizers: by name.
        listeners: to their steps.
    """

    def __init__(self, model: OffPolicyAlgorithm, batch_size: int, others: Mapping[str, torch.optim.Optimizer]) -> None:
        self.step: GradientStep | None = None
        self.reason: str | None = None
        self._signature = Signature(model, others, batch_size)
        self.optimizers = self._signature.optimizers
        self.listeners = {
            name: [owner for owner in owners_of_hooks(optimizer) if isinstance(owner, StepListener)]
            for name, optimizer in self.optimizers.items()
        }

    def collect(self, logged: Means) -> None:
        """What the step has to say."""
        if self.step is not None:
            logged.add(self.step.collect())

    def follow(self, model: OffPolicyAlgorithm, batch_size: int) -> bool:
        """Whether the step is good for what Stable-Baselines3's has left."""
        return self.step is not None and self._signature.follow(model, batch_size) and self.step.follow()

    def fits(self, model: OffPolicyAlgorithm, batch_size: int) -> bool:
        """Whether everything lies there still."""
        known = self.step is not None or self.reason is not None
        return known and self._signature.holds(model, batch_size)
