"""Rewires layers as an optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from sparse_agents.control.gradient_flow import GradientFlow
from sparse_agents.control.listener import StepListener
from sparse_agents.control.optimizer_state import holds, learning_rate
from sparse_agents.control.rewiring import carry_out
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLayer
from sparse_agents.ops import CurvatureProbe
from sparse_agents.rules import LayerView, Memory, TopologyRule, Update
from sparse_agents.topology import Rewire, Schedule

NEVER = -1
"""Stands for no ``end`` in saved states."""

RewireListener = Callable[[str, SparseLayer, Rewire], None]


class TopologyController(nn.Module, StepListener):
    """Owns the topology updates of the layers that one optimizer trains.

    It listens to the optimizer's step hooks: counts steps, asks the schedule, lets the rule rewire
    each layer, and makes everything that is indexed by connection follow: weights, the optimizer's
    moments, the weights of layers that share the topology (target networks).

    A module only so that its state is saved with the policy: the step count and the generator's state, both
    as tensors. The layers belong to the network, not to it.

    Args:
        layers: the layers to rewire, by name.
        rule: what to drop and grow.
        schedule: when and how much; None for a static rule.
        seed: of the generator that the rule draws from.
        followers: layers that share a topology with one of ``layers``, by the same name.
        budgets: connections each layer is to have in the end; by default those it has.
        paths: layers one after the other from an input of the network to an output, dense ones included, for rules
            that follow the flow through it.

    Attributes:
        steps: of the optimizer so far.
        listeners: called after a layer was rewired, with its name, the layer, and what has changed.
        gradient_flow: what the last update did to gradients; not saved.
    """

    def __init__(
        self,
        layers: Mapping[str, SparseLayer],
        rule: TopologyRule,
        schedule: Schedule | None,
        *,
        seed: int,
        followers: Mapping[str, Sequence[SparseLayer]] | None = None,
        budgets: Mapping[str, int] | None = None,
        paths: Sequence[Mapping[str, SparseLayer | nn.Linear | nn.Conv2d]] = (),
    ) -> None:
        super().__init__()
        if rule.dynamic and schedule is None:
            raise ConfigurationError(f"{type(rule).__name__} rewires, so it needs a schedule.")
        self.layers = dict(layers)  # a plain dict: not registered as submodules
        self.rule = rule
        self.schedule = schedule if rule.dynamic else None
        self.followers = {name: tuple((followers or {}).get(name, ())) for name in layers}
        self.starts = {name: layer.topology.nnz for name, layer in layers.items()}
        self.budgets = {**self.starts, **(budgets or {})}
        self.paths = tuple(dict(path) for path in paths)
        self.memory = Memory()
        self.memories = {name: Memory() for name in layers}
        self._curvature = CurvatureProbe()
        self.generator = torch.Generator().manual_seed(seed)
        self.listeners: list[RewireListener] = []
        self.gradient_flow = GradientFlow()
        self._optimizers: list[torch.optim.Optimizer] = []
        self._handles: list[Any] = []
        self.steps = 0

    def attach(self, optimizer: torch.optim.Optimizer, *others: torch.optim.Optimizer) -> TopologyController:
        """Listen to ``optimizer``. Attaching again, or after a copy, is harmless.

        Args:
            optimizer: the one that trains the layers and whose steps are counted.
            others: further optimizers that hold the same weights; their moments follow too.

        Raises:
            ConfigurationError: when no optimizer holds a layer's weight.
        """
        for name, layer in self.layers.items():
            if not holds(optimizer, layer.weight):
                raise ConfigurationError(
                    f"The optimizer does not hold the weight of layer {name!r}. Make it after sparsify(), from the "
                    "module's parameters, or pass the optimizer to sparsify()."
                )
        self._optimizers = [optimizer, *others]
        self._listen()
        return self

    def _listen(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._optimizers:
            optimizer = self._optimizers[0]
            self._handles = [
                optimizer.register_step_pre_hook(self._before_step),
                optimizer.register_step_post_hook(self._after_step),
            ]
            self._arm()

    def listens_to(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether its topology follows this optimizer."""
        return bool(self._optimizers) and self._optimizers[0] is optimizer

    @property
    def connections(self) -> int:
        return sum(layer.topology.nnz for layer in self.layers.values())

    @property
    def last_update(self) -> int | None:
        """The last step at which an update may happen; None: there is no last one."""
        return None if self.schedule is None else self.schedule.end

    def end_at(self, step: int | None) -> None:
        """Make this the last step at which an update may happen; None: there is no last one."""
        assert self.schedule is not None
        self.schedule.end = step
        self._arm()

    def _due(self, step: int) -> bool:
        return self.schedule is not None and self.schedule.due(step)

    @property
    def quiet(self) -> bool:
        """Whether nobody will look at the next step: neither to rewire, nor at the gradients it takes."""
        return not self.rule.every_step and not self._due(self.steps + 1)

    def advance(self) -> None:
        """Count a quiet step that was taken without the optimizer's own ``step()``."""
        self.steps += 1
        self.gradient_flow.follow(self.layers)
        if self._due(self.steps + 1):
            self._arm()

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self.rule.every_step:
            for view in self._views():
                self.rule.before_step(view)
        if self.rule.replaces_step and self._due(self.steps + 1) and self.rewire(self.steps + 1):
            for group in optimizer.param_groups:  # without gradients the step leaves everything as it is
                for parameter in group["params"]:
                    parameter.grad = None

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.steps += 1
        self.gradient_flow.follow(self.layers)
        if self.rule.every_step:
            for view in self._views():
                self.rule.after_step(view)
        if not self.rule.replaces_step and self._due(self.steps):
            self.rewire(self.steps)
        self._arm()

    def _arm(self) -> None:
        """Have the next backward leave what the next step will want of it."""
        self._arm_curvature()
        if not self.rule.needs_dense_gradient:
            return
        wanted = self.rule.every_step or self._due(self.steps + 1)
        for layer in self.layers.values():
            if wanted and not layer.probe.armed:
                layer.probe.arm(layer.weight)
            elif not wanted and layer.probe.armed:
                layer.probe.disarm()

    def _arm_curvature(self) -> None:
        wanted = self.rule.needs_curvature and self._due(self.steps + 1)
        if wanted and not self._curvature.armed:
            self._curvature.arm([layer.weight for layer in self.layers.values()])
        elif not wanted and self._curvature.armed:
            self._curvature.disarm()

    def _views(self) -> list[LayerView]:
        """Not those whose dense gradient the rule needs and no backward has left."""
        return [self.view(name) for name in self.layers if self._reached(name)]

    def _reached(self, name: str) -> bool:
        return bool(self.layers[name].probe.pairs) or not self.rule.needs_dense_gradient

    def view(self, name: str) -> LayerView:
        """A layer as the rule sees it now."""
        layer, optimizer = self.layers[name], self._optimizers[0]
        return LayerView(
            name,
            layer.topology.edges,
            layer.weight.detach(),
            layer.probe,
            self.generator,
            start=self.starts[name],
            budget=self.budgets[name],
            gradient=layer.weight.grad,
            curvature=self._curvature.products[list(self.layers).index(name)] if self._curvature.products else None,
            learning_rate=learning_rate(optimizer, layer.weight),
            memory=self.memories[name],
        )

    def rewire(self, step: int) -> bool:
        """Update every layer now. All updates are worked out before the first is applied.

        Returns:
            Whether there was a layer to look at; not where a rule needs a dense gradient and no backward came.

        Raises:
            ConfigurationError: where weights are not finite, or gradients have not come by a backward.
        """
        assert self.schedule is not None
        views = self._views()
        for view in views:
            for kind, values in (("weights", view.weight), ("gradients", view.gradient)):
                if values is not None and not bool(torch.isfinite(values).all()):
                    raise ConfigurationError(
                        f"Layer {view.name!r} has {kind} that are not finite: training has diverged. Lower the "
                        "learning rate or clip gradients."
                    )
        if not views:
            self._check_backward()
            return False
        fixed = {
            name: layer.weight.detach().flatten(1)
            for path in self.paths
            for name, layer in path.items()
            if not isinstance(layer, SparseLayer)
        }
        update = Update(
            views,
            self.schedule.at(step),
            self.generator,
            self.memory,
            [tuple(path) for path in self.paths],
            fixed,
            [self.view(name) for name in self.layers if not self._reached(name)],
        )
        self.gradient_flow = GradientFlow.at_update(self.layers)
        for view, rewire in zip(views, self.rule.update(update), strict=True):
            if rewire is not None:
                self._carry_out(view, rewire)
        return True

    def _check_backward(self) -> None:
        """Gradients that were put into ``.grad`` by hand leave nothing to make a dense gradient of."""
        for name, layer in self.layers.items():
            if layer.weight.grad is not None and bool(layer.weight.grad.any()):
                raise ConfigurationError(
                    f"{type(self.rule).__name__} needs the dense gradient of layer {name!r}, which is caught when "
                    "loss.backward() fills .grad; this gradient came another way. Choose a rule that needs none."
                )

    def _carry_out(self, view: LayerView, rewire: Rewire) -> None:
        layer = self.layers[view.name]
        grown = self.rule.new_weights(view, rewire)
        carry_out(layer, rewire, self.followers[view.name], self._optimizers, grown)
        view.memory.follow(rewire)
        for listener in self.listeners:
            listener(view.name, layer, rewire)

    def get_extra_state(self) -> dict[str, Any]:
        return {
            "steps": torch.tensor(self.steps),
            "end": torch.tensor(NEVER if self.schedule is None or self.schedule.end is None else self.schedule.end),
            "starts": {name: torch.tensor(count) for name, count in self.starts.items()},
            "budgets": {name: torch.tensor(count) for name, count in self.budgets.items()},
            "generator": self.generator.get_state(),
            "memory": self.memory.state(),
            "memories": {name: memory.state() for name, memory in self.memories.items()},
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.steps = int(state["steps"])
        if self.schedule is not None:
            self.schedule.end = None if int(state["end"]) == NEVER else int(state["end"])
        self.starts = {name: int(count) for name, count in state["starts"].items()}
        self.budgets = {name: int(count) for name, count in state["budgets"].items()}
        self.generator.set_state(state["generator"].cpu())
        self.memory = Memory.from_state(state["memory"])
        self.memories = {name: Memory.from_state(state["memories"][name]) for name in self.layers}

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._arm()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "generator": self.generator.get_state(), "_handles": [], "listeners": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        generator = torch.Generator()
        generator.set_state(state["generator"])
        super().__setstate__({**state, "generator": generator})
        self._listen()
