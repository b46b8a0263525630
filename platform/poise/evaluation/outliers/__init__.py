"""Measures outlier patches and registers: their number, blocks, places and content.

Outlier patches are patch tokens with a much larger norm than the others. Registers are extra tokens
that can store global information in place of outlier patches.

In: a backbone and a dataset. Out: an ``EvaluationReport`` with pictures. Next:
``poise evaluate registers``.
"""
