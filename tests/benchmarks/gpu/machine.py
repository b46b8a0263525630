"""The machine, and the speed that a single matrix product reaches on it."""

import platform
import statistics

import timm
import torch

from tests.benchmarks.gpu.measuring import seconds_of
from tests.benchmarks.gpu.output import Place, tell
from tests.benchmarks.gpu.peaks import peak_flops

_PRODUCTS = 10


def measure_machine(place: Place) -> None:
    """Tells the device's name, its peak and versions.

    Raises:
        SystemExit: there is no GPU.
    """
    if place.device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "bench_gpu: no GPU here; `--device cpu --tiny` runs every part on small models"
        )
    on_gpu = place.device.type == "cuda"
    name = torch.cuda.get_device_name(place.device) if on_gpu else "CPU"
    tell(
        "machine",
        device=name,
        num_devices=torch.cuda.device_count() if on_gpu else 0,
        memory_bytes=torch.cuda.get_device_properties(0).total_memory if on_gpu else None,
        precision=place.precision,
        peak_flops=peak_flops(name),
        matmul_flops=_matmul_flops(place),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        timm=timm.__version__,
        python=platform.python_version(),
    )


def _matmul_flops(place: Place) -> float:
    """Measures square matrix products of random numbers, in FLOP/s."""
    side = 256 if place.tiny else 8192
    dtype = torch.bfloat16 if place.precision == "bf16" else torch.float32
    a, b = torch.randn(2, side, side, device=place.device).to(dtype)
    for _ in range(3):
        a @ b
    times = [seconds_of(lambda: a @ b, place.device) for _ in range(_PRODUCTS)]
    return 2 * side**3 / statistics.median(times)
