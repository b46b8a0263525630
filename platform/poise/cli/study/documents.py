"""Writes the forecast and the result of a study as plain values, for --json.

In: a ``Forecast`` or a ``StudyResult``. Out: plain values. Next: ``poise.cli.output``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poise.studies.records import TrialRecord
    from poise.studies.study import Study
    from poise.sweeps.forecast import Forecast, TrialForecast
    from poise.sweeps.result import StudyResult


def forecast_document(study: Study, expected: Forecast) -> dict[str, Any]:
    """Returns the trials that would run, and their cost, as a dict."""
    return {
        "study": study.name,
        "settings_are_known": expected.are_known,
        "trials": [
            *(_forecast(each, waits=False) for each in expected.trials),
            *(_forecast(each, waits=True) for each in expected.waiting),
        ],
        "at_once": expected.at_once,
        "steps": expected.steps,
        "worker_hours": expected.worker_hours,
        "clock_hours": expected.clock_hours,
        "disk_bytes": expected.disk_bytes,
    }


def _forecast(expected: TrialForecast, waits: bool) -> dict[str, Any]:
    trial = expected.trial
    facts = {"trial": trial.name, "settings": dict(trial.settings), "seed": trial.seed}
    return facts | {"steps": expected.steps, "waits": waits}


def result_document(result: StudyResult) -> dict[str, Any]:
    """Returns the result of a study with all its trials, as a dict."""
    return {
        "study": result.study.name,
        "answer": list(result.report.findings.answer),
        "trials": [_trial(record) for record in result.records],
        "best": result.best.trial.name if result.best else None,
        "registered": result.registered,
        "waiting": result.num_waiting,
        "report": str(result.report.page),
        "next": result.next_commands,
    }


def _trial(record: TrialRecord) -> dict[str, Any]:
    verdict = record.verdict
    return {
        "trial": record.trial.name,
        "settings": dict(record.current.settings),
        "seed": record.trial.seed,
        "state": record.state,
        "reason": record.reason,
        "verdict": verdict.kind if verdict else None,
        "evidence": verdict.evidence if verdict else None,
        "run_id": record.run_id,
        "metrics": dict(record.metrics),
    }
