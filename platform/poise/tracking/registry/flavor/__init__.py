"""Files of a registered version for MLflow, so that ``mlflow.pyfunc`` can load it without Poise."""
