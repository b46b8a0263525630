"""What happened, kept where it can be found again.

In: reports, pictures and backbones. Out: MLflow runs and registered model versions.
Next: ``poise.sweeps``. The only stage that knows MLflow.
"""

import os

# Conduct, not addresses: nothing here says where to write, so processes may inherit it.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
