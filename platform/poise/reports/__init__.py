"""Writes reports about studies, models and evaluations.

In: findings, or stored data in MLflow. Out: pages, Markdown and CSV files, and tables for the
terminal. Next: the reader. Importing this stage does not import Ray.
"""

from poise.reports.study.files import Report, report_study, write_report
from poise.reports.study.terminal_table import comparison_table
from poise.studies.findings.findings import Winner

__all__ = ["Report", "Winner", "comparison_table", "report_study", "write_report"]
