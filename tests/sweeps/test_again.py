from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.sweeps import begin_study
from poise.sweeps.report.again import report_study


def test_a_store_that_has_no_run_of_a_study_is_named(space_file: Path, tmp_path: Path) -> None:
    begin_study(str(space_file), name="a")
    with pytest.raises(PoiseError, match=f"report a: MLflow at sqlite:.*{tmp_path.name}.* has no "):
        report_study("a")
