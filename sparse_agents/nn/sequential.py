"""A ``Sequential`` that runs its sparse stretches as one operation each."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.norm import Normalised
from sparse_agents.ops import MAX_LAYERS, NORMALISED, Chain, key_of, run_chain
from sparse_agents.ops.activation import EPSILON

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Identity: "identity"}
MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _normalises(module: nn.Module, features: int) -> bool:
    """Whether it is a LayerNorm over so many features that has no gain and no bias."""
    return (
        type(module) is nn.LayerNorm
        and not module.elementwise_affine
        and module.normalized_shape == (features,)
        and module.eps == EPSILON
    )


class Stretch:
    """Linear layers, each with the LayerNorm and the activation that follow it: one native call."""

    def __init__(self) -> None:
        self.layers: list[SparseLinear | nn.Linear] = []
        self.activations: list[str] = []
        self.modules: list[nn.Module] = []
        self._chain: Chain | None = None
        self._key = key_of(self)

    def take(self, child: nn.Module) -> bool:
        """Append a linear layer, or what follows the last one; False where ``child`` is neither."""
        taken = self._take(child)
        if taken:
            self.modules.append(child)
        return taken

    def _take(self, child: nn.Module) -> bool:
        # Exactly these: a subclass may compute something else.
        if isinstance(child, SparseLinear | nn.Linear) and type(child) in (SparseLinear, nn.Linear):
            if len(self.layers) == MAX_LAYERS:
                return False
            self.layers.append(child)
            self.activations.append("identity")
            return True
        if not self.layers:
            return False
        if type(child) is Normalised:
            return type(child[1]) in _ACTIVATIONS and all(map(self._take, child))
        before = self.activations[-1]
        if before == "identity" and _normalises(child, self.layers[-1].out_features):
            self.activations[-1] = NORMALISED["identity"]
            return True
        if before in ("identity", NORMALISED["identity"]) and type(child) in _ACTIVATIONS:
            name = _ACTIVATIONS[type(child)]
            self.activations[-1] = name if before == "identity" else NORMALISED[name]
            return True
        return False

    def chain(self) -> Chain:
        """Its structure now."""
        if self._chain is None or not self._chain.current():
            sparse = [layer if isinstance(layer, SparseLinear) else None for layer in self.layers]
            self._chain = Chain(
                [None if s is None else s.topology for s in sparse],
                [(layer.out_features, layer.in_features) for layer in self.layers],
                self.activations,
                [None if s is None else s.probe for s in sparse],
            )
        return self._chain

    def __call__(self, x: Tensor) -> Tensor:
        # Straight from the dictionary: nn.Module's attribute lookup is slow, and this runs at every step.
        parameters: list[dict[str, Any]] = [layer._parameters for layer in self.layers]
        weights = [p["weight"] for p in parameters]
        biases = [p["bias"] for p in parameters]
        if x.ndim == 2:
            return run_chain(self, self._key, x, weights, biases)
        y = run_chain(self, self._key, x.reshape(-1, x.shape[-1]), weights, biases)
        return y.view(*x.shape[:-1], y.shape[-1])


class SparseSequential(nn.Sequential):
    """An ``nn.Sequential`` whose runs of linear layers and activations are computed as a whole.

    Made in place from an existing ``Sequential`` by :func:`fuse`, so that everything that holds the
    object keeps working. Modules it does not know run as they always do, and while a child has hooks
    every child runs by itself, so that the hooks see what they expect.
    """

    def forward(self, x: Tensor) -> Tensor:
        parts, hooks = self._stretches()
        if any(hooks):
            return super().forward(x)  # type: ignore[no-any-return]
        for part in parts:
            x = part(x)
        return x

    def stretch(self) -> Stretch | None:
        """All of it as one, whatever its layers' backends; None where it is more than linear layers and activations, or
        has hooks.
        """
        whole = Stretch()
        complete = all(whole.take(child) for child in self)
        return whole if complete and not any(self._stretches()[1]) else None

    def _stretches(self) -> tuple[list[Any], list[Any]]:
        """What to run one after the other, and the children's hook dictionaries; made anew when a child is."""
        children = tuple(self._modules.values())
        cached = self.__dict__.get("_cached_stretches")
        if cached is not None and cached[0] == children:
            return cached[1], cached[2]
        fused = [part for child in children for part in (child, *(child if isinstance(child, Normalised) else ()))]
        hooks = [vars(part)[name] for part in fused for name in MODULE_HOOKS]
        parts: list[Any] = []
        stretch: Stretch | None = None
        for child in children:
            alone = isinstance(child, SparseLinear) and child.backend == "masked"
            if not alone and stretch is not None and stretch.take(child):
                continue
            stretch = Stretch()
            if not alone and stretch.take(child):
                parts.append(stretch)
            else:
                stretch = None
                parts.append(child)
        parts = [self._unless_dense(part) for part in parts]
        self.__dict__["_cached_stretches"] = (children, parts, hooks)
        return parts, hooks

    @staticmethod
    def _unless_dense(part: Any) -> Any:
        """A stretch without a sparse layer gains nothing here; torch's dense layers run it."""
        if isinstance(part, Stretch) and not any(isinstance(layer, SparseLinear) for layer in part.layers):
            return nn.Sequential(*part.modules)
        return part

    def forget_stretches(self) -> None:
        """After a child's backend has changed. They are made anew at once, for ``torch.compile`` could not."""
        self.__dict__.pop("_cached_stretches", None)
        self._stretches()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cached_stretches"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.forget_stretches()


def _look_anew(module: nn.Module, incompatible_keys: object = None) -> None:
    """Children may compute in another way than before."""
    cast(SparseSequential, module).forget_stretches()


def fuse(module: nn.Module) -> None:
    """Turn every ``nn.Sequential`` below ``module`` that holds a sparse layer into a fused one, in place."""
    for part in module.modules():
        if type(part) is nn.Sequential and any(isinstance(child, SparseLinear) for child in part.children()):
            part.__class__ = SparseSequential
            _look_anew(part)
            part.register_load_state_dict_post_hook(_look_anew)
