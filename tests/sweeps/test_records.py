import json
import math
from pathlib import Path

import pytest

from poise.sweeps.records import TRIAL_FILE
from tests.sweeps.builders import make_record, make_study


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
