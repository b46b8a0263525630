"""Outlier patches and registers: how many, from which block on, where, and what they hold.

In: a backbone and a dataset. Out: an ``EvaluationReport`` with pictures. Next:
``poise evaluate registers``.
"""
