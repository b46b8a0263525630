"""Which trials a study has drawn its conclusion from.

Kept in ``<study>/conclusion.json``, once they were compared and the best was registered. A report
says less: it can be written at any time, also of a study that still trains.

In: a study's records. Out: whether all were compared. Next: ``poise.sweeps.resumption``.
"""

from collections.abc import Iterable

from poise.sweeps.records import TrialRecord
from poise.sweeps.sources import count_trials
from poise.sweeps.study import Study
from poise.sweeps.whole_files import read_json, write_json

CONCLUSION_FILE = "conclusion.json"


def keep_conclusion(study: Study, records: Iterable[TrialRecord]) -> None:
    """Writes down which trials were done when the study was concluded."""
    write_json(study.folder / CONCLUSION_FILE, {"trials": _names_of_done(records)})


def is_finished(study: Study) -> bool:
    """Whether there is nothing left to do: every trial is done, and all of them were compared."""
    done, path = _names_of_done(study.records()), study.folder / CONCLUSION_FILE
    if len(done) < count_trials(study) or not path.exists():
        return False
    return set(done) <= set(read_json(path)["trials"])


def _names_of_done(records: Iterable[TrialRecord]) -> list[str]:
    return [record.trial.name for record in records if record.is_done]
