"""How a test reads each page: what it makes first, what it replaces, and what it leaves out.

In: nothing. Out: a ``Reading`` for each page that runs, and a reason for each page that does not.
Next: ``test_pages_run.py``. Sizes are in ``smaller.py``, and what pages presume is in ``given.py``.
"""

from collections.abc import Mapping

from tests.documents.page_script import Reading

GIVEN = "python -m tests.documents.given"
DEMO = (
    "python pipelines/demo.py training.stop_after_steps=32 training.batch_size=16 "
    "training.log_every_steps=4 evaluation.max_bank_images=256 evaluation.max_query_images=128 "
    "trials=1"
)
"""The demo with small sizes. It makes enough steps for a healthy verdict, so it registers."""

MODELS = {"OTHER_MODEL": "models:/given/2", "MODEL": "models:/given/1"}


def scenes(*names: str) -> str:
    """Returns commands that prepare datasets of drawn scenes in `data/`, each of other scenes."""
    each = (f"scenes data/{name} --seed {seed}" for seed, name in enumerate(names))
    return "; ".join(f"poise data prepare {words}" for words in each)


def prepared(*names: str) -> str:
    """Returns commands that prepare the folder `photos` as datasets in `data/`."""
    return "; ".join(f"poise data prepare photos data/{name}" for name in names)


PAGES: Mapping[str, Reading] = {
    "README.md": Reading(
        before=f"{GIVEN} photos=photos",
        not_run={
            "make demo": "docs/start.md runs it",
            "make test": "it runs the tests of which this one is a neighbour",
        },
    ),
    "docs/start.md": Reading(
        replaced={"make demo": DEMO},
        not_run={"source .venv": "the environment of the test is active"},
    ),
    "docs/images.md": Reading(before=f"{GIVEN} photos=photos"),
    "docs/collapse.md": Reading(),
    "docs/models.md": Reading(
        before=f"""
            {GIVEN} photos=photos outliers=given dinov2=dinov2_vits14.safetensors
            {GIVEN} dino=dino_deitsmall16_pretrain_full_checkpoint.pth bright=data/bright
            {prepared("photos", "labelled", "train", "test")}
        """,
        replaced={"MODEL data/photos": "models:/given/1 data/bright"},
        after="test -d model-with-register",
    ),
    "docs/take-away.md": Reading(
        before=f"{GIVEN} model=photos-vit photos=photos photo=photos/loose.jpg photo=photo.jpg",
        replaced={
            "# [1, D]": "\nassert embeddings.shape == (1, 24)",
            "# [1, rows, columns, D]": "\nassert dense.shape == (1, 8, 8, 24)",
            "mlflow models serve": "serving 5947 mlflow models serve",
            "5001": "5947",
            "curl -H": "curl --fail-with-body -H",
        },
        after="test -f photos-vit-onnx/model.onnx; test -f photos-labels.parquet",
    ),
    "docs/judge.md": Reading(
        before=f"""
            {GIVEN} log=log.txt table=metrics.csv lightning=lightning_logs/version_0
            {GIVEN} events=tensorboard logged_run=run-id
            python -m tests.corpus.logs --write cifar10-vit-published-prototypes-no-sharpening \\
                "loss and K only" training_metrics.json
        """,
        replaced={
            "runs:/0a1b2c3d4e5f60718293a4b5c6d7e8f9": 'runs:/"$(cat run-id)"',
            "sqlite:////data/mlflow.db": "sqlite:///$PWD/runs/mlflow.db",
        },
        python_before="""
import torch
alone = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
torch.distributed.init_process_group("gloo", **alone)
teacher_output, center, teacher_temp = torch.randn(8, 32), torch.zeros(32), 0.04
""",
    ),
    "docs/registry.md": Reading(
        before=f"{GIVEN} versions=scenes-dino-vit",
        replaced={
            "poise ui  ": "served 5957 poise ui --port 5957  ",
            "poise ui scenes-train --port 5100": "served 5100 poise ui scenes-train --port 5100",
            "poise ui --report": "served 5967 poise ui --report --port 5967",
        },
        after="test -f comparison.html",
    ),
    "docs/evaluations.md": Reading(
        before=f"{GIVEN} outliers=given outliers=given; {scenes('test')}",
        replaced=MODELS,
    ),
    "docs/objects.md": Reading(
        before=f"{GIVEN} outliers=given outliers=given frames=frames", replaced=MODELS
    ),
    "docs/registers.md": Reading(
        before=f"""
            {GIVEN} model=no-registers model=registers photos=photos
            {prepared("photographs")}; {scenes("scenes-train", "scenes-test")}
            poise pretrain pipelines/recipes/dino_scenes_demo.yaml training.checkpoint_every_steps=1
        """,
        replaced={
            "runs/NAME/checkpoint_A": "$(ls -d runs/*/checkpoint_* | head -1)",
            "runs/NAME/checkpoint_B": "$(ls -d runs/*/checkpoint_* | tail -1)",
        },
    ),
    "docs/retrieval.md": Reading(
        before=f"""
            {GIVEN} outliers=NAME photos=photos
            {GIVEN} landmarks=roxford5k landmarks=rparis6k copydays=copydays
            {prepared("photos-test", "photos", "other-photos")}
        """,
        after="ls map-photos-test/*/map.html",
    ),
    "docs/dense.md": Reading(
        before=f"""
            {GIVEN} outliers=given outliers=given bright=data/photographs
            {scenes("scenes-train", "scenes-test")}; poise data prepare scenes-video data/videos
        """,
        replaced={
            " [MODEL …]": "", "CONTROL": "models:/given/1", "UNTRAINED": "models:/given/2",
            "MODEL": "models:/given/1",
        },
    ),
    "docs/studies.md": Reading(
        before=scenes("cifar10-train", "cifar10-test", "imagenet-train", "imagenet-val"),
        replaced={
            "NAME": '"$(cd runs; echo dino-teacher-temp-*)"',
            "seeds=[0,1,2,3,4]": "seeds=[0,1]",
            "=median": "=median scheduler.options.min_samples_required=1",  # it has 2 trials
        },
    ),
    "docs/spaces.md": Reading(
        before=scenes("cifar10-train", "cifar10-test", "scenes-train", "scenes-test"),
    ),
}  # fmt: skip
"""Pages that run, in the order in which a newcomer meets them."""

NOT_RUN: Mapping[str, str] = {
    "CONTRIBUTING.md": "it clones the repository and runs its tests",
    "docs/command-line.md": "other pages have its commands; tests/cli tests what they print",
    "docs/contribute.md": "tests/test_contribute_page.py applies its example",
    "docs/notebooks.md": "tests/test_notebooks.py runs the notebooks",
    "docs/datasets.md": "it needs published datasets and a bucket; tests/data reads their layouts",
    "docs/training.md": "its runs need several GPUs, nodes that leave, or a run that diverged",
    "docs/cluster/README.md": "it needs a cluster; tests/integration/test_submit.py starts one",
    "docs/cluster/kuberay.md": "it needs Kubernetes",
    "docs/cluster/mlflow.md": "it needs rights on PostgreSQL; tests/integration/test_postgresql.py "
    "starts one",
    "docs/cluster/on-premise.md": "it needs machines that are reached with SSH",
    "docs/cluster/single-machine.md": "it starts Ray for the whole machine",
    "docs/cluster/slurm.md": "it needs SLURM",
    "docs/results.md": "the commands of its figures train for hours",
    "docs/results/centering-rate-cifar10.md": "a study's own report",
    "docs/results/centering-rate-scenes.md": "a study's own report",
    "docs/results/evaluations.md": "the commands of its figures train for an hour",
    "docs/results/parts-scenes.md": "a study's own report",
    "docs/results/registers.md": "its figures are of a published backbone",
    "docs/results/sharpening-centering-cifar10.md": "a study's own report",
    "docs/results/sharpening-centering-scenes.md": "a study's own report",
}
"""Pages whose commands cannot run here, each with the reason. They are checked without running."""
