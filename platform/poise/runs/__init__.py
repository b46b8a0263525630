"""Carries out one recipe, from nothing to a registered backbone.

In: a recipe. Out: an MLflow run, checkpoints, and a registered version. Next: ``poise.studies``
compares many runs.

``pretraining.carry_out`` and ``probing.carry_out`` do all steps: open the store, start Ray, check
that the run fits, create the run in MLflow, train and judge. Callers only print.
"""
