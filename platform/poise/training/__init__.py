"""The loop: an objective and a stream in, one report per step out; checkpoints.

In: a recipe and its ``ViewBatch`` stream. Out: ``FinishedStep`` after every step, and checkpoints
that hold all that is state. Next: ``poise.evaluation``.
"""
