"""Sentences that explain the table of metrics over time.

In: curves of settings. Out: sentences. Next: ``poise.reports.study.markdown_settings`` and
``poise.reports.study.sections.training``.
"""

from collections.abc import Sequence

from poise.studies.findings.findings import SettingCurves

COURSE_CELLS = (
    "Each cell shows four means over seeds. They are measured at the first step, after a quarter "
    "of the planned steps, after half of the planned steps, and at the end."
)
"""Explanation of the table over time if one cell contains all points of a curve."""

COURSE_ROWS = (
    "Each row is one point of a setting's curves: the first step, a quarter or half of the planned "
    "steps, or the last step of each seed (“end”). The numbers are means over seeds."
)
"""Explanation of the table over time if it has a row for each point."""


def dashes(settings: Sequence[SettingCurves], metrics: Sequence[str], is_over: bool) -> str:
    """Explains the dashes in the table over time. The result is empty if it has no dash.

    Args:
        settings: settings of the table.
        metrics: metrics of the table.
        is_over: whether the study has ended.
    """
    curves = [{curve.metric: curve for curve in setting.curves} for setting in settings]
    known = [each[metric] for each in curves for metric in metrics if metric in each]
    reached = "ended before" if is_over else "has not reached"
    told = []
    if dashed := {curve.is_planned for curve in known if None in curve.course}:
        causes = [f"{reached} this point"] if True in dashed else []
        causes += ["does not record how many steps were planned"] if False in dashed else []
        told.append(f"A dash means that at least one trial {' or '.join(causes)}.")
    if len(known) < len(settings) * len(metrics):
        told.append("If a setting has only dashes, it did not log this metric.")
    return "".join(f" {sentence}" for sentence in told)
