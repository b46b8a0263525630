"""Conclusions from a study's trials, in sentences and tables."""
