"""A study's trials side by side, for people.

In: a study's records and its runs. Out: the report's files in the study's folder and in its MLflow
run. Next: a person.
"""

from poise.sweeps.report.again import report_study
from poise.sweeps.report.files import Report, write_report
from poise.sweeps.report.rows import comparison_table

__all__ = ["Report", "comparison_table", "report_study", "write_report"]
