"""What the processes of attempts need, imported once in the server that they are forked from."""

import mlflow.store.artifact.local_artifact_repo
import mlflow.store.tracking.sqlalchemy_store
import timm
import torch._dynamo

import poise.data.views.preview
import poise.runs.session
import poise.training.in_process

__all__ = ["mlflow", "poise", "timm", "torch"]
