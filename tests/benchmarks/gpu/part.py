"""One part of the benchmark, in a process of its own.

``bench_gpu`` starts it as ``python -m tests.benchmarks.gpu.part NAME DEVICE [--tiny]``. It prints
one JSON object per line, as soon as a figure is known. So a part that fails or hangs loses only the
figures that would have followed.
"""

import sys

from tests.benchmarks.gpu.machine import measure_machine
from tests.benchmarks.gpu.other_costs import measure_other_costs
from tests.benchmarks.gpu.output import Place
from tests.benchmarks.gpu.training_steps import measure_training_steps
from tests.benchmarks.gpu.workloads import workloads


def main(name: str, device: str, tiny: bool) -> None:
    """Measures one part.

    Args:
        name: ``machine``, ``other-costs`` or the name of a workload.
        device: ``cuda`` or ``cpu``.
        tiny: whether models are small and few steps are measured.
    """
    place = Place.of(device, tiny)
    if name == "machine":
        measure_machine(place)
    elif name == "other-costs":
        measure_other_costs(place, workloads(tiny)["dino-vit-s"])
    else:
        measure_training_steps(place, workloads(tiny)[name])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--tiny" in sys.argv)
