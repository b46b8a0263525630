import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.studies.records import TRIAL_FILE
from tests.studies.builders import make_record, make_study


def test_a_metric_that_is_no_number_is_null_on_disk_and_nan_again_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python writes NaN, which is no JSON: jq and browsers refuse the whole file.
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    metrics = {"loss/total": math.nan, "gradient/norm": math.inf, "eval/knn_top1": 31.5}
    study.write(make_record("t01-s0", metrics=metrics))
    text = (study.trial_folder("t01-s0") / TRIAL_FILE).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["metrics"]["loss/total"] is None
    record = study.record("t01-s0")
    assert record is not None
    assert record.metrics == pytest.approx(metrics | {"gradient/norm": math.nan}, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mood": "good"}, "got an unexpected keyword argument 'mood'"),
        ({"metrics": None}, "it is no trial"),
        ({"trial": {"name": "t01-s0"}}, "missing 3 required positional arguments"),
        ({"verdict": {"kind": "tired"}}, "it is no trial"),
    ],
)
def test_a_trial_of_another_version_is_named_with_its_file_and_the_fix(
    change: dict[str, Any], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    study.write(make_record("t01-s0"))
    path = study.trial_folder("t01-s0") / TRIAL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for read in (study.records, lambda: study.record("t01-s0")):
        with pytest.raises(PoiseError, match=re.escape(f"{path}: was written by ")) as told:
            read()
        assert complaint in str(told.value) and "runs this trial again" in str(told.value)
    path.write_text("{}")
    with pytest.raises(PoiseError, match="it has no 'verdict'"):
        study.records()
