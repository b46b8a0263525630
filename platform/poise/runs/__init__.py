"""One recipe carried out, from nothing to a registered backbone.

In: a recipe. Out: an MLflow run, checkpoints, and a registered version. Next: ``poise.studies``
compares many runs.
"""
