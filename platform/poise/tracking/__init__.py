"""Runs, metrics and models in MLflow.

In: reports, pictures and backbones. Out: MLflow runs and registered model versions.
Next: ``poise.sweeps``. This is the only stage that imports MLflow.
"""

import os

# These variables say how MLflow behaves and not where it writes, so other processes may inherit
# them.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # of 7, which take four minutes; Poise tries again
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
