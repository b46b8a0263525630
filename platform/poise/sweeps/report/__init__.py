"""A study's trials side by side, for people.

In: the records of all trials and the histories of their metrics. Out: the report's files in the
study's folder and in its MLflow run. Next: a person.
"""

from poise.sweeps.report.files import REPORT_FILE, write_report
from poise.sweeps.report.rows import seeds_of_settings, short_names, table

__all__ = ["REPORT_FILE", "seeds_of_settings", "short_names", "table", "write_report"]
