"""Carries out one recipe, from an empty folder to a registered backbone.

In: a recipe. Out: an MLflow run, checkpoints, and a registered version. Next: ``poise.studies``
compares many runs.

``pretraining.carry_out`` and ``probing.carry_out`` perform all steps of a run: open the MLflow
store, start Ray, check that the machine is large enough, create the MLflow run, train, and judge.
Their callers only print.
"""
