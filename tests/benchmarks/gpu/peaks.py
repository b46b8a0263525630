"""Peak speeds of GPUs, by the name that the driver reports."""

import re

BF16_TFLOPS = {
    "A10": 125,
    "A100": 312,
    "A800": 312,
    "A30": 165,
    "L4": 121,
    "L40S": 362,
    "H20": 148,
    "H100": 989,
    "H800": 989,
    "H200": 989,
    "GH200": 989,
    "B200": 2250,
}
"""Dense bf16 matrix products in TFLOP/s, from the makers' data sheets, without sparsity."""

_SLOWER_BOARDS = {("H100", "PCIe"): 756, ("H100", "NVL"): 835}


def peak_flops(device_name: str) -> float | None:
    """Returns the peak of dense bf16 matrix products in FLOP/s; None for an unknown device.

    Args:
        device_name: such as ``NVIDIA A100-SXM4-80GB``. Only whole words of it are compared.
    """
    words = re.findall(r"[A-Za-z0-9]+", device_name)
    for (chip, board), tflops in _SLOWER_BOARDS.items():
        if chip in words and board in words:
            return tflops * 1e12
    found = [tflops for chip, tflops in BF16_TFLOPS.items() if chip in words]
    return found[0] * 1e12 if found else None
