"""A full device is one line that names the settings to lower."""

import pytest
import torch

from poise.training.memory_errors import DeviceMemoryError, memory_errors_explained, remedies
from tests.builders import tiny_masked_recipe, tiny_recipe

CPU = torch.device("cpu")
FULL = torch.OutOfMemoryError(
    "CUDA out of memory.\nTried to allocate 2.00 GiB. GPU 0 has 1 MiB free"
)


def test_a_full_device_is_one_line_with_the_settings_to_lower() -> None:
    recipe = tiny_recipe(training__batch_size=12)
    with pytest.raises(DeviceMemoryError) as caught, memory_errors_explained(recipe, CPU, 3):
        raise FULL
    line = str(caught.value)
    assert "\n" not in line and line.startswith("the memory of cpu is full on worker rank 3 (CUDA")
    assert (
        "set training.micro_batch_size=6 (now 12); or training.activation_checkpointing=true"
        in line
    )
    assert line.endswith("then go on with --resume")
    assert caught.value.exit_status == 2


def test_memory_that_the_processor_lacks_is_explained_too_and_other_errors_are_not() -> None:
    recipe = tiny_recipe()
    with pytest.raises(DeviceMemoryError), memory_errors_explained(recipe, CPU, 0):
        torch.empty(2**62, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), memory_errors_explained(recipe, CPU, 0):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_what_has_been_lowered_is_not_named_again() -> None:
    lowest = tiny_masked_recipe(
        training__micro_batch_size=1,
        training__activation_checkpointing=True,
        training__precision="bf16",
    )
    assert list(remedies(lowest)) == [
        "use more workers than training.num_workers=1",
        "in a new run, smaller views than data.views.global_px=16",
    ]
    odd = tiny_recipe(training__batch_size=9)
    assert next(remedies(odd)) == "set training.micro_batch_size=3 (now 9)"
