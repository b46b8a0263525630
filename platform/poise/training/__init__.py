"""Training loop and checkpoints.

In: a recipe and its stream of ``ViewBatch``. Out: a ``FinishedStep`` after every step, and
checkpoints with the complete state of the run. Next: ``poise.evaluation``.
"""
