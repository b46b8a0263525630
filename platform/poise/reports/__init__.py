"""A study's trials side by side, for people.

In: a study's records and its runs. Out: the report's files in the study's folder and in its MLflow
run. Next: a person.
"""

from poise.reports.study.files import Report, report_study, write_report
from poise.reports.study.terminal_table import comparison_table

__all__ = ["Report", "comparison_table", "report_study", "write_report"]
