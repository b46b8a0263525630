"""What the tests of sweeps share with those of studies."""

from tests.evaluation.conftest import make_dataset
from tests.studies.conftest import space_file

__all__ = ["make_dataset", "space_file"]  # fixtures
