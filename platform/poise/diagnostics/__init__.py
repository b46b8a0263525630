"""Metrics that show what happened in a training step, and a verdict on their history.

In: an ``Observation`` (the tensors of an objective after a step) and the parameters. Out: named
metrics of the global batch, and a ``Verdict``. Next: ``poise.training`` logs the metrics and acts
on the verdict; ``poise.studies`` and the command line show it.

This package imports nothing, so ``poise.diagnostics.judge`` loads without torch.
"""
