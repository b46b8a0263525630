"""Poise: pretrain vision models without labels, and learn which settings collapse.

The package is one line of stages, and each imports only stages to its left:

    config, cluster, data, models, objectives, diagnostics, training, evaluation,
    tracking, runs, studies, reports, sweeps, cli
"""

import os

__version__ = "0.1.0"

# Neither library may report usage from a machine whose owner did not ask for it.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Seconds for Ray's dashboard to start, which reads this when Ray is imported. Its default of 60 is
# too short on a busy machine.
os.environ.setdefault("RAY_DASHBOARD_STARTUP_TIMEOUT_S", "180")
