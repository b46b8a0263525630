"""Writes pages about findings; today about one study.

In: findings, or a study and its run in MLflow. Out: the report's files, and rows for the terminal.
Next: the reader. This stage loads without Ray.
"""

from poise.reports.study.files import Report, report_study, write_report
from poise.reports.study.terminal_table import comparison_table
from poise.studies.findings.findings import Winner

__all__ = ["Report", "Winner", "comparison_table", "report_study", "write_report"]
