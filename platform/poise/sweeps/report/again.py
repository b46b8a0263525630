"""A study is reported again, whenever a person asks.

In: a study's name. Out: its report. Next: the command line.
"""

from poise.config import PoiseError
from poise.sweeps.report.files import Report, write_report
from poise.sweeps.study import stored_study
from poise.tracking.reading import find_study_run
from poise.tracking.store import open_store, redacted


def report_study(name: str) -> Report:
    """Writes the report of a study as it stands, finished or not.

    Raises:
        PoiseError: there is no such study, or it has not begun.
    """
    study = stored_study(name, "report")
    store = open_store()
    run = find_study_run(store, study.name, study.folder)
    if run is None:
        raise PoiseError(
            f"report {name}: MLflow at {redacted(store.uri)} has no run of it; begin it with "
            f"`poise {study.command} --resume {name}`, or name the store that has it"
        )
    return write_report(study, run)
