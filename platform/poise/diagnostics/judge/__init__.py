"""The verdict on a run's history of metrics."""
