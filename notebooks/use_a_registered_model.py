# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Use a registered model
#
# Poise registers every healthy backbone in MLflow, with its whole history. This notebook finds
# one, compares it with another, takes it away, and searches images with it. At the end it is
# loaded without Poise.
#
# It takes one to two minutes on one CPU core. It downloads nothing, because it first trains two
# small models. With models of your own, name them in place of `registered`.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import poise
from poise.cli.main import run as poise_command
from poise.config.paths import home, new_name
from poise.tracking.store import open_store

os.chdir(Path(poise.__file__).parents[2])  # the folder of Poise: every path below begins here
FOLDER = home() / "notebooks"

EPOCHS = (4, 12)  # of the two small models; raise them for better ones

# %% [markdown]
# ## Two models
#
# They have the same recipe, a small masked autoencoder. One trains three times as long. Commands
# register only healthy backbones. Here both are registered, so that there is something to
# compare.

# %%
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.runs.folder import begin
from poise.runs.pretraining import carry_out
from poise.runs.registration import register_finished

TRAIN, TEST = str(FOLDER / "scenes-1024"), str(FOLDER / "scenes-test")
prepare("scenes", TRAIN, PrepareOptions(num_images=1024, seed=0))
prepare("scenes", TEST, PrepareOptions(num_images=400, seed=1))
CHANGES = [
    f"data.dataset={TRAIN}",
    f"evaluation.queries={TEST}",
    "training.log_every_steps=16",
]
store, registered = open_store(), []
for epochs in EPOCHS:
    changes = [*CHANGES, f"training.epochs={epochs}", f"evaluation.every_epochs={epochs}"]
    recipe, name = begin("pipelines/recipes/mae_scenes.yaml", changes, new_name("small"))
    finished = carry_out(recipe, name, lambda line: None, in_process=True)
    registered.append(register_finished(store, recipe, finished))
    print(f"{epochs} epochs: {finished.verdict.kind}, {registered[-1]}")

# %% [markdown]
# ## Find
#
# `search_versions` gives what `poise models list` prints. Here: models that were trained with
# MAE, the best k-NN first.

# %%
from poise.tracking.registry.list_filters import Query, read_order
from poise.tracking.registry.version_search import search_versions

query = Query(tags={"objective": "mae"}, order=read_order("eval/knn_top1"), limit=5)
for version in search_versions(store, query).versions:
    verdict = version.tags["verdict"]
    print(f"{version.short:42} {version.main_figure.with_interval:24} {verdict}")

# %% [markdown]
# ## Compare
#
# A difference of two accuracies is much more certain if both models answered the same images.
# `poise evaluate knn` keeps every answer, so the next comparison is paired.

# %%
for reference in registered:
    poise_command(["evaluate", "knn", reference, TEST, "--bank", TRAIN, "--k", "20"])

# %%
from poise.tracking.registry.comparison import compare_versions
from poise.tracking.registry.version_lookup import find_model

versions = [find_model(store, reference) for reference in registered]
comparison = compare_versions(store, versions)
for setting, values in comparison.settings:
    if setting == "training.epochs":
        print(f"{setting:35} {' | '.join(values)}")
for row in comparison.figures:
    difference = row.differences[1]
    if difference is not None and difference.is_paired:
        print(f"{row.metric}: {' | '.join(map(str, row.figures))}")
        print(f"  difference {difference} points, on the same {difference.images} images")

# %% [markdown]
# `poise models compare` writes the same as a page, with the pictures of both models side by side.
# If the interval of the difference contains 0, there is no reason to prefer one of them.

# %%
page = FOLDER / "comparison.html"
_ = poise_command(["models", "compare", *registered, "--out", str(page)])
# %% [markdown]
# ## Search images
#
# `poise embed` writes one row for each image: its place, its label and its embedding.

# %%
import pyarrow.parquet as pq

table = FOLDER / "embeddings.parquet"
table.unlink(missing_ok=True)
poise_command(["embed", registered[-1], TEST, str(table)])
embeddings = torch.tensor(np.stack(pq.read_table(table)["embedding"].to_numpy()))
print(embeddings.shape)

# %% [markdown]
# The images nearest to the first one of each row, by the cosine of their embeddings. A green
# frame means that the image is of the same kind. No label was used to train or to search.

# %% tags=["cover"]
from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.nearest import find_nearest
from poise.evaluation.reading.images import EvaluationImages

pictures, labels = next(EvaluationImages(ImageDataset.open(TEST), 64).batches(len(embeddings)))
nearest = find_nearest(embeddings, 7)
figure, axes = plt.subplots(4, 8, figsize=(9, 4.8), layout="constrained")
for axis_row, query_row in zip(axes, (0, 5, 17, 33), strict=True):
    for axis, row in zip(axis_row, [query_row, *nearest.rows[query_row].tolist()], strict=True):
        axis.imshow(pictures[row].permute(1, 2, 0))
        axis.set(xticks=[], yticks=[])
        same = labels[row] == labels[query_row]
        for spine in axis.spines.values():
            spine.set(
                color="#555" if row == query_row else "#2a9d4e" if same else "#d1495b", linewidth=3
            )
axes[0, 0].set_title("query")
axes[0, 1].set_title("nearest first", loc="left")
plt.show()

# %% [markdown]
# ## Take it away
#
# `poise models pull` writes a folder that timm loads without Poise, and a model card. Before the
# folder appears, timm's features are compared with Poise's.

# %%
pulled = FOLDER / new_name("pulled")
poise_command(["models", "pull", registered[-1], str(pulled)])
print(*sorted(path.name for path in pulled.iterdir()))

# %%
import timm

from poise.evaluation.reading.inference import normalized

model = timm.create_model(f"local-dir:{pulled}", pretrained=True).eval()
facts = timm.data.resolve_data_config(model=model)
prepared, _ = next(
    EvaluationImages(ImageDataset.open(TEST), facts["input_size"][-1]).batches(len(embeddings))
)
with torch.no_grad():
    from_timm = model(normalized(prepared, (facts["mean"], facts["std"])))
print(f"timm and `poise embed` differ by at most {(from_timm - embeddings).abs().max():.1g}")

# %% [markdown]
# A registered version is also a model of MLflow. `predict` takes paths, bytes or arrays, of any
# size.

# %%
import warnings

import mlflow

warnings.filterwarnings("ignore", ".*AnyType")  # MLflow has no type for "a path, bytes or an array"
mlflow.set_tracking_uri(store.uri)
model = mlflow.pyfunc.load_model(registered[-1])
images = list(ImageDataset.open(TEST).read(np.arange(8)).images)  # bytes of PNG files
from_mlflow = model.predict(images)
dense = model.predict(images, params={"features": "dense"})
print(f"embeddings {np.shape(from_mlflow)}, dense features {np.shape(dense)}")
farthest = np.abs(from_mlflow - embeddings[:8].numpy()).max()
print(f"mlflow and `poise embed` differ by at most {farthest:.1g}")

# %% [markdown]
# ## Next
#
# - [The registry](../docs/registry.md): give a version an alias that other people rely on.
# - [Use a model outside Poise](../docs/take-away.md): ONNX, HTTP, embeddings of photographs.
