"""What a study does before its first trial."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.studies.study import load_study
from poise.sweeps import begin_study
from poise.sweeps import runner as conduct


def test_a_study_that_another_process_carries_out_is_left_as_it_is(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its file was once replaced by the larger study before that one was refused.
    study = begin_study(str(space_file), name="a")

    def refuse(*_: Any) -> None:
        raise PoiseError("run a: another process controls it")

    monkeypatch.setattr(conduct, "start_ray", lambda **_: None)
    monkeypatch.setattr(conduct, "open_store", lambda: None)
    monkeypatch.setattr(conduct, "reconcile", lambda _: None)
    monkeypatch.setattr(conduct, "create_study_run", refuse)
    larger = replace(study, space=study.space.model_copy(update={"seeds": (0, 1, 2)}))
    with pytest.raises(PoiseError, match="another process controls it"):
        conduct.run_study(larger)
    assert load_study(study.folder) == study
