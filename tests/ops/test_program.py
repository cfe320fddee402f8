"""Operations of training programs, each against torch's own: of every instruction set, and of an emulated device."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from emulation import EmulatedLauncher
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.utils import polyak_update
from torch import Tensor

from sparse_agents.ops import library, program, select_isa, supported_isas
from sparse_agents.ops.cuda import Processor
from sparse_agents.ops.cuda.program import DeviceProgram
from sparse_agents.ops.library import KernelError

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14}
ROWS, COLUMNS = 37, 5
UNKNOWN = 99


Run = Callable[..., None]
MACHINES = [(isa, dtype) for isa in supported_isas() for dtype in TOLERANCE] + [("device", torch.float32)]


@pytest.fixture(params=MACHINES, ids=[f"{name}-{str(dtype)[6:]}" for name, dtype in MACHINES])
def machine(request: pytest.FixtureRequest) -> Iterator[tuple[str, torch.dtype]]:
    """Where operations run, and on numbers of which type."""
    torch.manual_seed(0)
    if request.param[0] != "device":
        select_isa(request.param[0])
    yield request.param
    select_isa(supported_isas()[0])


@pytest.fixture
def dtype(machine: tuple[str, torch.dtype]) -> torch.dtype:
    return machine[1]


@pytest.fixture
def run(machine: tuple[str, torch.dtype]) -> Run:
    name, dtype = machine
    if name == "device":
        launcher = EmulatedLauncher(Processor(multiprocessors=3, shared_bytes=4096))
        return lambda *operations: DeviceProgram(operations, launcher).run()
    return lambda *operations: program.Program(operations, dtype).run()


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert torch.allclose(found, expected.to(found.dtype), rtol=0, atol=TOLERANCE[found.dtype], equal_nan=True)


def number() -> Tensor:
    return torch.zeros(1, dtype=torch.float64)


def test_gather(run: Run, dtype: torch.dtype) -> None:
    """Columns of several arrays, through float; more rows than are asked for ahead."""
    wide, narrow = torch.randn(50, 2, 70, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float32)
    rows = torch.randint(0, 100, (ROWS,))
    out, one = torch.full((ROWS, 80), -1.0, dtype=dtype), torch.empty(ROWS, dtype=dtype)
    gather = program.Gather.of(arrays=0, rows=ROWS, row=rows)
    gather.add(wide, out[:, 3:], 80)
    gather.add(narrow, one, 1)
    run(gather)
    assert torch.equal(out[:, 3:73], wide.flatten(0, 1)[rows].float().to(dtype))
    assert bool((out[:, :3] == -1).all())
    assert bool((out[:, 73:] == -1).all())
    assert torch.equal(one, narrow.flatten()[rows].to(dtype))


def test_copy(run: Run, dtype: torch.dtype) -> None:
    source, out = torch.randn(ROWS, 9, dtype=dtype), torch.zeros(ROWS, 7, dtype=dtype)
    run(program.Copy.of(rows=ROWS, columns=COLUMNS, from_stride=9, out_stride=7, source=source[:, 2:], out=out[:, 1:]))
    assert torch.equal(out[:, 1:6], source[:, 2:7])
    assert not out[:, 0].any()


def test_smoothed_action(run: Run, dtype: torch.dtype) -> None:
    action, noise = torch.randn(ROWS, COLUMNS, dtype=dtype), torch.randn(ROWS, COLUMNS)
    action[0, 0] = math.nan
    out = torch.empty(ROWS, COLUMNS + 2, dtype=dtype)
    smoothed = program.SmoothedAction.of(
        rows=ROWS, columns=COLUMNS, out_stride=COLUMNS + 2, scale=2.0, clip=0.5, action=action, noise=noise, out=out
    )
    run(smoothed)
    close(out[:, :COLUMNS], (action + (2 * noise).clamp(-0.5, 0.5)).clamp(-1, 1))


@pytest.mark.parametrize("critics", [1, 2, 3])
@pytest.mark.parametrize("extras", [False, True])
def test_td_target(run: Run, dtype: torch.dtype, critics: int, extras: bool) -> None:
    q = [torch.randn(ROWS, dtype=dtype) for _ in range(critics)]
    q[-1][3] = math.nan
    reward, log_prob = torch.randn(ROWS, dtype=dtype), torch.randn(ROWS, dtype=dtype)
    done, timeout = (torch.rand(ROWS) < 0.5).to(dtype), (torch.rand(ROWS) < 0.5).to(dtype)
    discounts, entropy, target = torch.rand(ROWS, dtype=dtype), number() + 0.3, torch.empty(ROWS, dtype=dtype)
    more = {"timeout": timeout, "discounts": discounts, "log_prob": log_prob, "entropy": entropy} if extras else {}
    operation = program.TDTarget.of(
        critics=critics, rows=ROWS, discount=0.99, reward=reward, done=done, target=target, **more
    )
    operation.point("q", q)
    run(operation)
    least = torch.stack(q).min(0).values - (0.3 * log_prob if extras else 0)
    over = done * (1 - timeout) if extras else done
    factor = (1 - over).float() * (discounts.float() if extras else 0.99)
    close(target, reward + factor.to(dtype) * least)


def test_td_error_and_mean(run: Run, dtype: torch.dtype) -> None:
    q, target = torch.randn(ROWS, dtype=dtype, requires_grad=True), torch.randn(ROWS, dtype=dtype)
    grad, loss = torch.empty(ROWS, dtype=dtype), number() + 1
    run(program.TDError.of(rows=ROWS, scale=0.5, q=q, target=target, grad=grad, loss=loss))
    expected = 0.5 * torch.nn.functional.mse_loss(q, target)
    expected.backward()
    close(loss.to(dtype), (1 + expected.detach()).reshape(1))
    assert q.grad is not None
    close(grad, q.grad)

    mean = number()
    run(program.Mean.of(rows=ROWS, scale=-2.0, x=q, grad=grad, mean=mean))
    close(mean.to(dtype), -2 * q.detach().mean().reshape(1))
    close(grad, torch.full_like(grad, -2 / ROWS))


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("averaged", [False, True])
def test_adam(run: Run, dtype: torch.dtype, kind: type[torch.optim.Adam], weight_decay: float, averaged: bool) -> None:
    """Sizes that are no multiple of a vector, at steps of different number; with the averages of all but one."""
    theirs = [torch.randn(n, dtype=dtype, requires_grad=True) for n in (1, 33, 64)]
    optimizer = kind(theirs, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=weight_decay)
    ours = [p.detach().clone() for p in theirs]
    first, second = ([torch.zeros_like(p) for p in ours] for _ in range(2))
    steps = [torch.zeros(()) for _ in ours]
    grads = [torch.empty_like(p) for p in ours]
    targets = [torch.randn_like(p) for p in ours[1:]]
    expected = [target.clone() for target in targets]
    adam = program.Adam.of(
        decoupled=int(kind is torch.optim.AdamW), tensors=3, learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-6,
        weight_decay=weight_decay, size=[p.numel() for p in ours], value=ours, grad=grads, moment1=first,
        moment2=second, step=steps, **({"tau": 0.1, "target": [None, *targets]} if averaged else {}),
    )  # fmt: skip
    for _ in range(5):
        for p, grad in zip(theirs, grads, strict=True):
            p.grad = torch.randn_like(p)
            grad.copy_(p.grad)
        optimizer.step()
        run(adam)
        if averaged:
            polyak_update(theirs[1:], expected, 0.1)
    for target, value in zip(targets, expected, strict=True):
        close(target, value)
    for p, value, m, v, step in zip(theirs, ours, first, second, steps, strict=True):
        close(value, p.detach())
        close(m, optimizer.state[p]["exp_avg"])
        close(v, optimizer.state[p]["exp_avg_sq"])
        assert step == optimizer.state[p]["step"] == 5


@pytest.mark.parametrize("tau", [0.0, 0.005, 1.0])
def test_polyak(run: Run, dtype: torch.dtype, tau: float) -> None:
    online, target = ([torch.randn(n, dtype=dtype) for n in (3, 40)] for _ in range(2))
    expected = [t.clone() for t in target]
    polyak_update(online, expected, tau)
    run(program.Polyak.of(tensors=2, tau=tau, size=[3, 40], online=online, target=target))
    for found, value in zip(target, expected, strict=True):
        close(found, value)


@pytest.mark.parametrize("columns", [1, 6, 40])
def test_squashed_gaussian_and_its_gradient(run: Run, dtype: torch.dtype, columns: int) -> None:
    """Away from actions of nearly one, where 1 - action² has few digits."""
    parameters = 0.3 * torch.randn(ROWS, 2 * columns, dtype=dtype)
    parameters[0, columns], parameters[1, columns] = 3.0, 2.0  # beyond a bound, and on it
    noise = torch.randn(ROWS, columns, dtype=dtype).clamp(-1, 1)
    noise[:2] *= 0.1
    action, log_prob, entropy = torch.empty_like(noise), torch.empty(ROWS, dtype=dtype), number() + 0.7
    shape = {"rows": ROWS, "columns": columns}
    gaussian = program.Gaussian.of(**shape, parameters=parameters, noise=noise, action=action, log_prob=log_prob)
    by_action = [torch.randn(ROWS, columns + 3, dtype=dtype) for _ in range(2)]
    grad = torch.empty_like(parameters)
    gradient = program.GaussianGradient.of(
        **shape, critics=2, grad_stride=columns + 3, entropy=entropy, parameters=parameters, noise=noise,
        action=action, grad=grad,
    )  # fmt: skip
    gradient.point("grad_action", [g[:, 3:] for g in by_action])
    run(gaussian, gradient)

    exact = parameters.double().requires_grad_()
    mean, log_std = exact[:, :columns], exact[:, columns:].clamp(-20, 2)
    distribution = SquashedDiagGaussianDistribution(columns)
    distribution.proba_distribution(mean, log_std)
    before = mean + log_std.exp() * noise.double()
    expected = before.tanh()
    expected_log_prob = distribution.log_prob(expected, before)
    loss = sum((expected * g[:, 3:].double()).sum() for g in by_action) + 0.7 * expected_log_prob.mean()
    assert isinstance(loss, Tensor)
    loss.backward()
    assert exact.grad is not None
    close(action, expected.detach())
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    assert torch.allclose(log_prob.double(), expected_log_prob.detach(), rtol=tolerance, atol=tolerance * columns)
    assert torch.allclose(grad.double(), exact.grad, rtol=tolerance, atol=tolerance)


def test_least_critic(run: Run, dtype: torch.dtype) -> None:
    q = [torch.randn(ROWS, 1, dtype=dtype, requires_grad=True) for _ in range(3)]
    log_prob, entropy, loss = torch.randn(ROWS, dtype=dtype), number() + 0.4, number()
    grads = [torch.empty(ROWS, 1, dtype=dtype) for _ in q]
    operation = program.Least.of(critics=3, rows=ROWS, log_prob=log_prob, entropy=entropy, loss=loss)
    operation.point("q", q)
    operation.point("grad", grads)
    run(operation)
    expected = (0.4 * log_prob - torch.cat(q, 1).min(1).values).mean()
    expected.backward()
    close(loss.to(dtype), expected.detach().reshape(1))
    for found, one in zip(grads, q, strict=True):
        assert one.grad is not None
        close(found, one.grad)


def test_entropy_coefficient(run: Run, dtype: torch.dtype) -> None:
    logarithm, log_prob = torch.tensor([-0.3], dtype=dtype, requires_grad=True), torch.randn(ROWS, dtype=dtype)
    grad, coefficient, coefficients, loss = torch.empty(1, dtype=dtype), number(), number() + 2, number()
    run(
        program.Entropy.of(
            rows=ROWS,
            target=-6.0,
            log_prob=log_prob,
            logarithm=logarithm,
            grad=grad,
            coefficient=coefficient,
            coefficients=coefficients,
            loss=loss,
        )
    )
    expected = -(logarithm * (log_prob - 6.0)).mean()
    expected.backward()
    close(loss.to(dtype), expected.detach().reshape(1))
    close(coefficient.to(dtype), logarithm.detach().exp())
    close(coefficients.to(dtype), 2 + logarithm.detach().exp())
    assert logarithm.grad is not None
    close(grad, logarithm.grad)


def test_structs_are_as_large_here_as_in_the_library() -> None:
    kernels = library.library()
    assert kernels is not None
    kinds = {kind.KIND: kind for kind in program.Operation.__subclasses__() if kind.KIND != UNKNOWN}
    assert len(kinds) == 16
    assert {kind: kernels.sa_operation_bytes(kind) for kind in kinds} == {k: ctypes.sizeof(c) for k, c in kinds.items()}
    assert kernels.sa_operation_bytes(UNKNOWN) == 0


def test_unknown_operations_are_refused() -> None:
    class Nothing(program.Mean):
        KIND = UNKNOWN

    with pytest.raises(KernelError, match="training step: a bad argument"):
        program.Program([Nothing.of(rows=1)], torch.float32).run()
