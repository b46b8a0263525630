"""Web server on this machine for the pages of studies and models."""

from poise.reports.served.server import report_server

__all__ = ["report_server"]
