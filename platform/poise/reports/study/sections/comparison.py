"""Makes the section that compares every setting with the baseline.

In: the findings of a study. Out: a section with the table of settings and notes. Next: the page.
"""

from poise.reports.page.outcome_styles import marked
from poise.reports.page.page_elements import Section, table
from poise.reports.study.sentences import how_sure
from poise.reports.study.setting_columns import setting_columns
from poise.studies.findings.findings import Findings


def comparison(findings: Findings) -> Section:
    """Makes the section with the table of settings.

    The table also shows the values behind the settings' short names.
    """
    columns = setting_columns(findings, _verdicts)
    content = table(
        how_sure(findings.comparison, "in small print") or "All settings of the study",
        [column.header for column in columns],
        [*zip(*(column.cells for column in columns), strict=True)],
        numbers=[index for index, column in enumerate(columns) if column.is_number],
        emphasized=[n for n, row in enumerate(findings.comparison.rows) if row.is_baseline],
    )
    return Section("settings", "Settings compared", table=content, notes=findings.notes)


def _verdicts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return marked(next(iter(verdicts)))
    return ", ".join(f"{count} × {marked(outcome)}" for outcome, count in verdicts.items())
