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
# # Train and look
#
# In this notebook you pretrain a small vision transformer without labels, and look at what it has
# learned: its curves, its attention, its patches, and the neighbours of an image.
#
# Everything runs on one CPU core in one to two minutes. Poise creates the images itself, so
# nothing is downloaded. All files go to `runs/`, which Git ignores.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import poise
from poise.config.paths import home, new_name

os.chdir(Path(poise.__file__).parents[2])  # the folder of Poise: every path below begins here
FOLDER = home() / "notebooks"

NUM_IMAGES = 1024  # raise these two for better features
EPOCHS = 12

# %% [markdown]
# ## The images
#
# `scenes` are small drawings: one object with a texture, before a background. The kind of a scene
# is the texture of its object. Light, haze and background differ from image to image, and hide
# the kind. The model never sees the labels. They only measure the result.

# %%
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions

TRAIN, TEST = str(FOLDER / f"scenes-{NUM_IMAGES}"), str(FOLDER / "scenes-test")
train = prepare("scenes", TRAIN, PrepareOptions(NUM_IMAGES, seed=0))
test = prepare("scenes", TEST, PrepareOptions(num_images=400, seed=1))
print(f"{train.num_samples} images to train on, {test.num_samples} to test")
print(f"{len(train.classes)} kinds: {', '.join(train.classes)}")

# %% [markdown]
# A recipe is one complete YAML file, here that of a small masked autoencoder (MAE). It does not
# see whole images, but *views*: random crops. Three quarters of the patches of a view are hidden,
# and the model must predict them. The first columns show the image and its object, the last one a
# view.

# %%
from IPython.display import Image

from poise.config import load_recipe
from poise.data.views.preview import draw_preview

RECIPE = "pipelines/recipes/mae_scenes.yaml"
CHANGES = [
    f"data.dataset={TRAIN}",
    f"evaluation.queries={TEST}",
    "evaluation.every_epochs=4",
    "training.log_every_steps=16",
    f"training.epochs={EPOCHS}",
]
views = load_recipe(RECIPE, CHANGES).data.views
Image(draw_preview(TRAIN, views, FOLDER / "views.png", num_images=4), width=400)

# %% [markdown]
# ## Train
#
# `begin` checks the recipe and gives the run a name. `carry_out` trains, and keeps metrics,
# verdict, pictures and backbone in MLflow. With `in_process=True` it trains in this notebook;
# without, it uses Ray, as `poise pretrain` does. The weights are the same.
#
# The verdict stands at the end of a line. It may change during a run: at first this model only
# predicts the mean patch, and its features use few directions.

# %%
from poise.runs.folder import begin
from poise.runs.pretraining import carry_out

recipe, name = begin(RECIPE, CHANGES, new_name("train-and-look"))
finished = carry_out(recipe, name, print, in_process=True)

# %%
print(finished.verdict.kind)
print(finished.verdict.evidence)

# %% [markdown]
# ## The curves
#
# `finished.history` has every metric of every logged step. A loss alone says little about a run
# without labels. So the first curve divides it by the loss of a model that always predicts the
# mean of a patch: at 1, the model has not looked at the image. RankMe is the number of directions
# that the features use.

# %%
from poise.runs.curves import draw_curves

draw_curves(FOLDER / "curves.png", {recipe.name: finished.history})
Image(FOLDER / "curves.png", width=760)

# %% [markdown]
# ## Better than no training?
#
# Random weights are a strong opponent: even their features know something about an image. Poise
# measures them before the first step. k-NN asks the 20 nearest images for the kind of an image;
# the linear probe is a ridge classifier on the same features.

# %%
metrics = finished.metrics
for figure in ("knn_top1", "linear_top1"):
    before, after = metrics[f"untrained/{figure}"], metrics[f"eval/{figure}"]
    print(f"{figure:12} {before:.1f} % before, {after:.1f} % after ({after - before:+.1f} points)")

# %% [markdown]
# ## What does it look at?
#
# The package of the run has the backbone. `untrained:` before its name gives the same
# architecture with random weights. In each row you see an image, the attention of [cls] in each
# head of the last block, and its mean.

# %%
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import normalized
from poise.evaluation.tokens.maps import draw_attention
from poise.tracking.registry.fetch import load_model

backbone, config = load_model(str(finished.package))
untrained, _ = load_model(f"untrained:{finished.package}")
normalization = config["normalization"]["mean"], config["normalization"]["std"]
LARGE = str(FOLDER / "scenes-large")
prepare("scenes", LARGE, PrepareOptions(num_images=64, seed=1, image_px=96))  # for finer maps
images, labels = next(EvaluationImages(ImageDataset.open(LARGE), 96).batches(64))
images = images[images.float().std((1, 2, 3)).topk(8).indices]  # those with the most contrast
draw_attention(FOLDER / "attention.png", backbone, images[:4], normalization, torch.device("cpu"))
Image(FOLDER / "attention.png", width=640)

# %% [markdown]
# The three directions in which the patches of an image differ most (PCA), shown as red, green and
# blue. Patches of the same colour have similar features.


# %% tags=["cover"]
@torch.no_grad()
def patch_colors(model: torch.nn.Module) -> torch.Tensor:
    """Colours of the patches of all images, [n, rows, columns, 3], from 0 to 1."""
    patches = model.tokens(normalized(images, normalization))[:, model.num_prefix_tokens :]
    flat = (patches - patches.mean(1, keepdim=True)).flatten(0, 1)
    _, _, directions = torch.pca_lowrank(flat, q=3, center=False)
    colors = flat @ directions
    low, high = colors.quantile(0.02, dim=0), colors.quantile(0.98, dim=0)
    side = round(patches.shape[1] ** 0.5)
    return ((colors - low) / (high - low)).clamp(0, 1).view(len(images), side, side, 3)


rows = {
    "image": images.permute(0, 2, 3, 1),
    "trained": patch_colors(backbone),
    "random": patch_colors(untrained),
}
figure, axes = plt.subplots(3, 8, figsize=(9, 3.6), layout="constrained")
for axis_row, (title, pictures) in zip(axes, rows.items(), strict=True):
    for axis, picture in zip(axis_row, pictures, strict=False):
        axis.imshow(picture)
        axis.set(xticks=[], yticks=[])
    axis_row[0].set_ylabel(title)
plt.show()

# %% [markdown]
# ## Next
#
# - Raise `NUM_IMAGES` and `EPOCHS`. With 4,096 images, the recipe itself reaches a k-NN of 80 %.
# - Try `RECIPE = "pipelines/recipes/dino_scenes_demo.yaml"`: DINO instead of MAE. It needs more
#   steps.
# - [study_a_collapse](study_a_collapse.ipynb) shows what can go wrong, and how Poise sees it.
# - Train on [your own images](../docs/images.md).
