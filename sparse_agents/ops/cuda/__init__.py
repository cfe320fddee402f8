"""Sparse layers on CUDA devices.

Kernels are CUDA C++ (kernels/cuda), compiled at first use for the device at hand by NVRTC. What launches them is a
:class:`Launcher`; there is one for devices, and tests have one that emulates them.
"""

from sparse_agents.ops.cuda.balance import balance
from sparse_agents.ops.cuda.chains import Chains, Flow
from sparse_agents.ops.cuda.choice import cuda_network
from sparse_agents.ops.cuda.device import DeviceLauncher, launcher_for, no_kernels
from sparse_agents.ops.cuda.geometry import Processor, RowGeometry, row_geometry
from sparse_agents.ops.cuda.kernel import Kernel, Launcher
from sparse_agents.ops.cuda.network import CudaNetwork
from sparse_agents.ops.cuda.program import DeviceProgram
from sparse_agents.ops.cuda.rows import FindRows, OwnRows
from sparse_agents.ops.cuda.small import SmallNetwork

__all__ = [
    "Chains",
    "CudaNetwork",
    "DeviceLauncher",
    "DeviceProgram",
    "FindRows",
    "Flow",
    "Kernel",
    "Launcher",
    "OwnRows",
    "Processor",
    "RowGeometry",
    "SmallNetwork",
    "balance",
    "cuda_network",
    "launcher_for",
    "no_kernels",
    "row_geometry",
]
