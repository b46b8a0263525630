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
# # Study a collapse
#
# A network that learns without labels can cheat: it gives the same answer to every image. This is
# a *collapse*. DINO prevents it with two opposite forces. *Sharpening* (a low `teacher_temp`)
# pulls the teacher towards one prototype. *Centering* (a `center_momentum` below 1) pulls it
# towards all of them.
#
# What happens without one of them? This notebook asks with a small study, reads the answer, and
# looks at the evidence. It takes one to two minutes on one CPU core, and downloads nothing.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Image

import poise
from poise.config.paths import home, new_name

os.chdir(Path(poise.__file__).parents[2])  # the folder of Poise: every path below begins here
FOLDER = home() / "notebooks"

EPOCHS = 4  # raise these two for a clearer answer
SEEDS = [0]  # with three seeds and more, the report tests differences

# %% [markdown]
# ## Ask
#
# A *space* is a question as a YAML file. This one crosses two values of the centering with two
# values of the sharpening. The study trains each combination. Each of these runs is a *trial*.

# %%
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.sweeps.planning import begin_study
from poise.sweeps.runner import run_study

TRAIN, TEST = str(FOLDER / "scenes-1024"), str(FOLDER / "scenes-test")
prepare("scenes", TRAIN, PrepareOptions(num_images=1024, seed=0))
prepare("scenes", TEST, PrepareOptions(num_images=400, seed=1))
CHANGES = [
    "recipe=pipelines/recipes/dino_scenes_demo.yaml",
    f"seeds={SEEDS}",
    "concurrency=1",
    f"data.dataset={TRAIN}",
    f"evaluation.queries={TEST}",
    f"evaluation.every_epochs={EPOCHS}",
    "backbone.options={patch_size: 8, embed_dim: 64, depth: 2, num_heads: 4}",
    "objective.num_prototypes=256",
    "training.batch_size=32",
    "training.log_every_steps=8",
    f"training.epochs={EPOCHS}",
]
study = begin_study(
    "search_spaces/dino_sharpening_centering.yaml", CHANGES, new_name("collapse"), "ablate"
)
print(study.space.question)
result = run_study(study)

# %% [markdown]
# ## The answer
#
# `report_study` opens the report of any study, today's or an old one. It also writes the page
# `report.html`, which has all of this notebook and more. The `findings` are the same as plain
# Python data.
#
# These runs are far too short to learn something, so k-NN stays near that of random weights. They
# are long enough to collapse.

# %%
from poise.reports import report_study

report = report_study(study.name)
findings = report.findings
print("\n".join(findings.answer))
print(f"\nthe whole report: {report.page}")

# %% [markdown]
# The phase diagram has a cell for each combination. Its colour is the verdict, its number the
# k-NN accuracy.

# %% tags=["cover"]
phase = findings.phase
outcomes = list(dict.fromkeys(cell.outcome for cell in phase.cells))
colors = {"healthy": "#8fd0b3"} | dict(
    zip([o for o in outcomes if o != "healthy"], ["#f2a48a", "#e8c46a", "#b9a3d6"], strict=False)
)
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for cell in phase.cells:
    axis.add_patch(
        plt.Rectangle(
            (cell.x - 0.5, cell.y - 0.5), 1, 1, color=colors[cell.outcome], ec="white", lw=3
        )
    )
    failed = f"{cell.condemned.count} of {cell.condemned.n} failed"
    text = f"{cell.outcome}\nk-NN {cell.metric.value:.1f} %\n{failed}"
    axis.text(cell.x, cell.y, text, ha="center", va="center")
axis.set(
    xlim=(-0.5, len(phase.x.labels) - 0.5),
    ylim=(-0.5, len(phase.y.labels) - 0.5),
    xlabel=phase.x.name,
    ylabel=phase.y.name,
)
axis.set_xticks(range(len(phase.x.labels)), phase.x.labels)
axis.set_yticks(range(len(phase.y.labels)), phase.y.labels)
plt.show()

# %% [markdown]
# ## The evidence
#
# Each trial has a verdict. It names the step at which the failure began, the numbers that show
# it, and what to change.

# %%
for trial in findings.trials:
    verdict = trial.record.verdict
    print(trial.values)
    print(f"  verdict   {verdict.kind}")
    print(f"  evidence  {verdict.evidence}")
    print(f"  advice    {verdict.advice}\n" if verdict.advice else "")

# %% [markdown]
# The curves show how different these failures are. Look at the loss first: the lowest loss
# belongs to a collapsed teacher. Then look at the teacher's entropy. Without sharpening it rests
# at ln K: every prototype, for every image, and the mutual information is 0. Without centering it
# falls to nearly 0: all images share about two prototypes. Its mutual information does not fall,
# because two prototypes still sort the images into two groups. So one number is never enough for
# a verdict.

# %%
from poise.runs.curves import draw_curves
from poise.tracking.history import read_histories
from poise.tracking.store import open_store

records = {trial.values: trial.record for trial in findings.trials}
by_run = read_histories(open_store(), [record.run_id for record in records.values()])
histories = {values: by_run[record.run_id] for values, record in records.items()}
onsets = {values: record.verdict.onset_step for values, record in records.items()}
draw_curves(FOLDER / "collapse.png", histories, onsets)
Image(FOLDER / "collapse.png", width=820)

# %% [markdown]
# ## When could one have known?
#
# The judge reads the history of a run. It can be asked at every step, as Poise does during
# training. It waits until it is sure: a healthy run, too, may look like a collapse for a few
# steps.

# %%
from poise.diagnostics.judge import judge

losses = {v: records[v].metrics["loss/total"] for v in records if records[v].verdict.collapsed}
collapsed = min(losses, key=losses.__getitem__)  # the lowest loss of all looks like a success
record, history = records[collapsed], histories[collapsed]
signals = record.trial.recipe(study.recipe, study.name).signals
kind = None
print(collapsed)
for end in range(1, len(history) + 1):
    verdict = judge(history[:end], signals, record.planned_steps)
    if verdict.kind is not kind:
        kind = verdict.kind
        print(f"  step {history[end - 1][0]:4}  {kind}")

# %% [markdown]
# ## Your own log
#
# Somebody has a log with a loss and nothing else. `poise judge` says what it shows, and what to
# log to know more. Here it reads the loss of the collapsed trial. It never says more than the
# numbers bear.

# %%
from poise.cli.main import run as poise_command

log = FOLDER / "loss.csv"
rows = [f"{step},{metrics['loss/total']}" for step, metrics in history if "loss/total" in metrics]
log.write_text("\n".join(["step,train_loss", *rows]))
_ = poise_command(
    ["judge", str(log), "--objective", "dino", "--prototypes", "256", "--batch-size", "32"]
)

# %% [markdown]
# ## Next
#
# - One seed is an anecdote. Set `SEEDS = [0, 1, 2]`, and the report has intervals and tests.
# - [Metrics and verdicts](../docs/diagnostics.md) explains every number,
#   [Studies](../docs/studies.md) every section of the report.
# - [use_a_registered_model](use_a_registered_model.ipynb) takes the healthy backbone away.
