"""Labelled runs that the judge is judged by."""
