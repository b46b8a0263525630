"""A quick part of the faults. `make faults` has them all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.attempt import Fault, forked_fast
from tests.faults.campaign import RESUMED, WENT_ON, Arena

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Arena]:
    with forked_fast():
        yield Arena.open(tmp_path_factory.mktemp("faults"), migrated_file)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("killed in a step", 11), RESUMED),
        (Fault("killed in a file operation", 20), RESUMED),
        (Fault("killed in a file operation", 33), RESUMED),
        (Fault("storage fails for a moment", 15, 2), WENT_ON),
        (Fault("disk full for good", 18, 10**9), RESUMED),
        (Fault("MLflow fails for a while", 2, 2), WENT_ON),
        (Fault("SIGTERM with notice", 7), RESUMED),
        (Fault("device memory full", 13), RESUMED),
    ],
    ids=lambda value: value.kind.replace(" ", "-") if isinstance(value, Fault) else "",
)
def test_a_run_that_a_fault_hits_ends_as_the_uninterrupted_run(
    arena: Arena, fault: Fault, outcome: str
) -> None:
    row = arena.survive(f"{fault.kind}-{fault.at}".replace(" ", "-"), fault)
    assert row.outcome == outcome
