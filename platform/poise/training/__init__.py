"""Training loop and checkpoints.

In: a recipe and its ``ViewBatch`` stream. Out: ``FinishedStep`` after every step, and checkpoints
with the complete state. Next: ``poise.evaluation``.
"""
