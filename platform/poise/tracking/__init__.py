"""Runs, metrics and models in MLflow.

In: metrics, pictures and backbones. Out: MLflow runs and registered model versions. Next:
``poise.sweeps``. No other stage imports MLflow.
"""

import os

# These variables change MLflow's behaviour but not the choice of its store. So child processes
# may inherit them.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # the default 7 takes four minutes; Poise also retries
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
