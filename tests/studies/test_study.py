"""A study before its first trial: its name, its folder, and who may carry it out."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from poise.config import PoiseError
from poise.studies.study import load_study
from poise.sweeps.planning import begin_study, request_study
from poise.sweeps.runner import run_study
from poise.tracking.run_lock import HOLDER_FILE, Holder


def test_a_study_that_another_process_carries_out_is_left_as_it_is(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its file was once replaced by the larger study before that one was refused.
    monkeypatch.setattr("poise.sweeps.runner.start_ray", pytest.fail)
    study, parent = begin_study(str(space_file), name="a"), os.getppid()
    started_s = psutil.Process(parent).create_time() - psutil.boot_time()
    other = replace(Holder.here(), pid=parent, started_s=started_s)
    (study.folder / HOLDER_FILE).write_text(json.dumps(asdict(other)))
    larger = replace(study, space=study.space.model_copy(update={"seeds": (0, 1, 2)}))
    with pytest.raises(PoiseError, match=f"a: {other} is at work on it; wait"):
        run_study(larger)
    assert load_study(study.folder) == study


def test_of_two_studies_of_one_name_one_gets_the_folder_before_anything_starts(
    space_file: Path,
) -> None:
    # Both were checked before either folder was there, and both then wrote into it.
    first, second = (request_study(str(space_file), name="a") for _ in range(2))
    first.claim()
    with pytest.raises(PoiseError, match="there is a run or study of this name"):
        second.claim()


@pytest.mark.slow
def test_two_studies_that_begin_in_one_second_have_names_of_their_own(space_file: Path) -> None:
    names = {request_study(str(space_file)).name for _ in range(8)}
    assert len(names) == 8
