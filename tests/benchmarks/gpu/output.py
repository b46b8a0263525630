"""Output of a part: one JSON object per line."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch

from poise.training.precision import computes_bf16
from tests.benchmarks.gpu.measuring import Pace


def tell(kind: str, **values: Any) -> None:
    """Prints one object for ``bench_gpu``."""
    print(json.dumps({"kind": kind, **values}), flush=True)


def attempt(what: str, work: Callable[[], object]) -> None:
    """Carries out some work. If it fails, the failure is told and the part goes on."""
    try:
        work()
    except (Exception, SystemExit) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        tell("failure", what=what, why=why)


@dataclass(frozen=True)
class Place:
    """Where and how a part measures."""

    device: torch.device
    precision: str
    pace: Pace
    tiny: bool

    @classmethod
    def of(cls, device: str, tiny: bool) -> Self:
        """Makes the place of a device: bf16 where the hardware computes it."""
        where = torch.device(device)
        pace = Pace(warm_steps=1, chunk_steps=1, chunks=2) if tiny else Pace()
        return cls(where, "bf16" if computes_bf16(where) else "fp32", pace, tiny)
