"""An agent as C99 without dependencies, for machines that have nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse_agents.errors import ConfigurationError
from sparse_agents.export.acting import (
    Acting,
    Clipped,
    Largest,
    LargestOfEach,
    Normalized,
    Positive,
    Rescaled,
    Scaled,
)
from sparse_agents.nn import SparseLinear
from sparse_agents.runs import atomic_file

CSR_BELOW = 0.6
"""Density under which a layer is stored by connections; above, columns take more room than zeros do."""

ACTIVATIONS: Mapping[type[nn.Module], Callable[[Any], str]] = {
    nn.ReLU: lambda module: "x > 0 ? x : 0",
    nn.Tanh: lambda module: "tanhf(x)",
    nn.Sigmoid: lambda module: "1 / (1 + expf(-x))",
    nn.SiLU: lambda module: "x / (1 + expf(-x))",
    nn.ELU: lambda module: f"x > 0 ? x : {_number(module.alpha)} * expm1f(x)",
    nn.LeakyReLU: lambda module: f"x > 0 ? x : {_number(module.negative_slope)} * x",
}
"""What ``x`` becomes."""
NOTHING = (nn.Identity, nn.Dropout)
"""Modules that do nothing when an agent acts."""


@dataclass(frozen=True)
class Layer:
    """A linear layer and what follows it.

    Attributes:
        matrix: ``[rows, columns]``, dense.
        bias: ``[rows]``.
        activation: an expression of ``x``, or None.
        norm: what LayerNorm before the activation adds to the variance, or None where there is none.
    """

    matrix: Tensor
    bias: Tensor
    activation: str | None = None
    norm: float | None = None

    def normalised(self, module: nn.Module) -> Layer | None:
        """This and LayerNorm over its rows, without gain and bias; None where the module is another."""
        if self.activation is not None or self.norm is not None:
            return None
        if not isinstance(module, nn.LayerNorm) or module.elementwise_affine:
            return None
        return replace(self, norm=module.eps) if module.normalized_shape == (len(self.bias),) else None


def write_c(acting: Acting, folder: Path, name: str = "agent") -> list[Path]:
    """``NAME.c`` and ``NAME.h`` with one function, ``NAME_act(observation, action)``.

    Weights are constants: of layers with few connections in compressed sparse rows, with columns of 8 or 16 bits where
    these are enough. It needs memory for two vectors as long as the widest layer, on the stack, and nothing else; it
    may be called from several threads.

    Args:
        acting: of linear layers and the activations in :data:`ACTIVATIONS`.
        folder: to write into; it is made where there is none.
        name: of files, and before the names in them.

    Raises:
        ConfigurationError: for other networks, and for names that C does not take.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ConfigurationError(f"--name {name}: letters, digits and underscores, a letter first.")
    layers = _layers(acting)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.h": _header(acting, name), f"{name}.c": _source(acting, layers, name)}
    for file, text in texts.items():
        with atomic_file(folder / file) as draft:
            draft.write_text(text)
    return [folder / file for file in texts]


def _layers(acting: Acting) -> list[Layer]:
    layers: list[Layer] = []
    for module in _leaves(acting.stages):
        if isinstance(module, SparseLinear | nn.Linear):
            matrix = module.matrix() if isinstance(module, SparseLinear) else module.weight
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            layers.append(Layer(matrix.detach(), bias.detach()))
        elif layers and (both := layers[-1].normalised(module)) is not None:
            layers[-1] = both
        elif type(module) in ACTIVATIONS and layers and layers[-1].activation is None:
            layers[-1] = replace(layers[-1], activation=ACTIVATIONS[type(module)](module))
        elif not isinstance(module, (*NOTHING, nn.Flatten)):
            known = ", ".join(kind.__name__ for kind in ACTIVATIONS)
            raise ConfigurationError(
                f"C code is for linear layers with one of {known} behind them, and this network has a "
                f"{type(module).__name__}. --format onnx takes it."
            )
    return layers


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    children = [child for name, child in module.named_children() if name != "topology"]
    if not children or isinstance(module, SparseLinear):
        yield module
    for child in children if not isinstance(module, SparseLinear) else []:
        yield from _leaves(child)


def _header(acting: Acting, name: str) -> str:
    guard = f"{name.upper()}_H"
    discrete = _is_discrete(acting)
    return f"""\
/* A trained agent: one observation in, one action out. Made by sparse-agents export. */
#ifndef {guard}
#define {guard}

#define {name.upper()}_OBSERVATION_SIZE {_inputs(acting)}
#define {name.upper()}_ACTION_SIZE {_outputs(acting)}

#ifdef __cplusplus
extern "C" {{
#endif

/* observation: {name.upper()}_OBSERVATION_SIZE numbers{", as they come from the environment" if discrete else ""}.
   action: {name.upper()}_ACTION_SIZE {"indices" if discrete else "numbers, within the bounds of the action space"}. */
void {name}_act(const float *observation, {"int" if discrete else "float"} *action);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(acting: Acting, layers: list[Layer], name: str) -> str:
    widest = max([_inputs(acting), *(len(layer.bias) for layer in layers)])
    blocks = [f'/* Made by sparse-agents export. */\n#include "{name}.h"\n\n#include <math.h>\n#include <stdint.h>\n']
    calls, out = [], "a"
    blocks.append(_scale_tables(acting.scale))
    for index, layer in enumerate(layers):
        source, out = out, ("b" if out == "a" else "a")
        blocks.append(_tables(layer, index))
        calls.append(_layer_code(layer, index, source, out))
    blocks.append(_decision_tables(acting.decide))
    kind = "int" if _is_discrete(acting) else "float"
    body = _scale_code(acting.scale, _inputs(acting)) + "".join(calls) + _decision_code(acting.decide, out, layers)
    blocks.append(
        f"void {name}_act(const float *observation, {kind} *action) {{\n  float a[{widest}], b[{widest}];\n{body}}}\n"
    )
    return "\n".join(block for block in blocks if block)


def _tables(layer: Layer, index: int) -> str:
    tables = [_array("float", f"bias{index}", layer.bias.tolist())]
    if not _by_connections(layer):
        return "".join([*tables, _array("float", f"weight{index}", layer.matrix.flatten().tolist())])
    rows, columns = layer.matrix.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(layer.bias)).cumsum(0)
    return "".join(
        [
            *tables,
            _array("float", f"weight{index}", layer.matrix[rows, columns].tolist()),
            _array(_unsigned(layer.matrix.shape[1]), f"column{index}", columns.tolist()),
            _array(_unsigned(int(counts[-1]) + 1), f"end{index}", counts.tolist()),
        ]
    )


def _layer_code(layer: Layer, index: int, source: str, out: str) -> str:
    rows, columns = layer.matrix.shape
    activation = "x" if layer.activation is None else layer.activation
    lines = [f"  for (int row = 0, k = 0; row < {rows}; row++) {{", f"    float x = bias{index}[row];"]
    if _by_connections(layer):
        lines.append(f"    for (; k < end{index}[row]; k++) x += weight{index}[k] * {source}[column{index}[k]];")
    else:
        lines.append(f"    for (int j = 0; j < {columns}; j++, k++) x += weight{index}[k] * {source}[j];")
    if layer.norm is None:
        return "\n".join([*lines, f"    {out}[row] = {activation};", "  }"]) + "\n"
    return "\n".join([*lines, f"    {out}[row] = x;", "  }"]) + "\n" + _norm_code(layer.norm, rows, activation, out)


def _norm_code(epsilon: float, rows: int, activation: str, out: str) -> str:
    return f"""\
  {{
    float mean = 0, variance = 0;
    for (int row = 0; row < {rows}; row++) mean += {out}[row] / {rows};
    for (int row = 0; row < {rows}; row++) variance += ({out}[row] - mean) * ({out}[row] - mean) / {rows};
    const float scale = 1 / sqrtf(variance + {_number(epsilon)});
    for (int row = 0; row < {rows}; row++) {{
      const float x = ({out}[row] - mean) * scale;
      {out}[row] = {activation};
    }}
  }}
"""


def _by_connections(layer: Layer) -> bool:
    return 0 < float((layer.matrix != 0).double().mean()) < CSR_BELOW


def _scale_tables(scale: nn.Module) -> str:
    if not isinstance(scale, Normalized):
        return ""
    return _array("float", "mean", scale.mean.flatten().tolist()) + _array(
        "float", "deviation", scale.deviation.flatten().tolist()
    )


def _scale_code(scale: nn.Module, inputs: int) -> str:
    loop = f"  for (int i = 0; i < {inputs}; i++) "
    if isinstance(scale, Normalized):
        clip = _number(scale.clip)
        return f"{loop}a[i] = fminf(fmaxf((observation[i] - mean[i]) / deviation[i], -{clip}), {clip});\n"
    assert isinstance(scale, Scaled)
    return f"{loop}a[i] = observation[i] / {_number(scale.divisor)};\n"


def _decision_tables(decide: nn.Module) -> str:
    if not isinstance(decide, Rescaled):
        return ""
    bounds = {"low": decide.low, "high": decide.high}
    return "".join(_array("float", name, bound.flatten().tolist()) for name, bound in bounds.items())


def _decision_code(decide: nn.Module, out: str, layers: list[Layer]) -> str:
    size = len(layers[-1].bias)
    each = f"  for (int i = 0; i < {size}; i++) "
    if isinstance(decide, Clipped):
        return f"{each}action[i] = fminf(fmaxf({out}[i], low[i]), high[i]);\n"
    if isinstance(decide, Rescaled):
        return f"{each}action[i] = low[i] + 0.5f * ({out}[i] + 1) * (high[i] - low[i]);\n"
    if isinstance(decide, Positive):
        return f"{each}action[i] = {out}[i] > 0;\n"
    if isinstance(decide, LargestOfEach):
        starts = np.cumsum([0, *decide.sizes]).tolist()
        return "".join(
            _largest(f"{out} + {start}", count, f"action[{index}]")
            for index, (start, count) in enumerate(zip(starts, decide.sizes, strict=False))
        )
    assert isinstance(decide, Largest)
    actions = size // decide.groups
    sums = f"  for (int i = {actions}; i < {size}; i++) {out}[i % {actions}] += {out}[i];\n"
    return (sums if decide.groups > 1 else "") + _largest(out, actions, "action[0]")


def _largest(vector: str, count: int, result: str) -> str:
    return (
        f"  {result} = 0;\n  for (int i = 1; i < {count}; i++)\n"
        f"    if (({vector})[i] > ({vector})[{result}]) {result} = i;\n"
    )


def _array(kind: str, name: str, values: Iterable[float]) -> str:
    texts = [_number(value) if kind == "float" else str(int(value)) for value in values]
    lines = [", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]
    return f"static const {kind} {name}[{len(texts)}] = {{\n  " + ",\n  ".join(lines) + "};\n"


def _number(value: float) -> str:
    """As float32, of which nine digits tell everything."""
    if not np.isfinite(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _unsigned(values: int) -> str:
    """The smallest type for numbers below this."""
    return "uint8_t" if values <= 1 << 8 else "uint16_t" if values <= 1 << 16 else "uint32_t"


def _is_discrete(acting: Acting) -> bool:
    return not isinstance(acting.decide, Rescaled)


def _inputs(acting: Acting) -> int:
    shape = acting.observation_space.shape
    assert shape is not None
    return int(np.prod(shape))


def _outputs(acting: Acting) -> int:
    return int(np.prod(acting.action_space.shape or ()))
