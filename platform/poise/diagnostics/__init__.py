"""Numbers that say what happened in a training step, and a verdict on their history.

In: an ``Observation`` (what an objective shows after a step) and the parameters. Out: named
numbers of the global batch, and a ``Verdict``. Next: ``poise.training`` logs the numbers and acts
on the verdict; ``poise.studies`` and the command line show it.

This package imports nothing, so that ``poise.diagnostics.judge`` loads without torch.
"""
