from pathlib import Path

import pytest

from poise.sweeps.trial import _StoppedEarly, _stopping_is_no_failure
from poise.tracking.ending import _status_after
from tests.sweeps.builders import make_record, make_sweep


def test_losing_its_workers_to_the_scheduler_is_not_a_trials_own_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stopped trial once saw its controller die and called itself failed over "stopped early".
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    sweep = make_sweep()
    sweep.write(make_record("t01", state="running", verdict=None))
    with pytest.raises(RuntimeError, match="its own"), _stopping_is_no_failure(sweep, "t01"):
        raise RuntimeError("its own")
    sweep.write(make_record("t01", state="stopped"))
    with pytest.raises(_StoppedEarly) as ended, _stopping_is_no_failure(sweep, "t01"):
        raise RuntimeError("the controller died")
    assert _status_after(ended.value) == "FINISHED"
