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

DEMO_RECIPE = "pipelines/recipes/dino_scenes_demo.yaml"
HEAD = """
    serving 5987 python -m tests.integration.head_node 5987
    until test -s .ray/auth_token; do sleep 1; done
"""
"""A head node at port 5987, whose token is where `poise` looks for it."""

START = (
    "env -u RAY_ADDRESS RAY_AUTH_MODE=token POISE_HOME=$PWD/runs "
    "RAY_TMPDIR=$(mktemp -d /tmp/poise-XXXXXX) RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0 "
    "ray start --block --head "
    "--num-cpus=4 --object-store-memory=100000000 --node-ip-address=127.0.0.1 --port=26379 "
    "--dashboard-port=5997 --dashboard-agent-listen-port=25997 --ray-client-server-port=25998"
)
"""`ray start --head` beside other nodes on this machine. It ends with the page."""

MODELS = {"OTHER_MODEL": "models:/given/2", "MODEL": "models:/given/1"}


def scenes(*names: str) -> str:
    """Returns commands that prepare datasets of drawn scenes in `data/`, each of other scenes."""
    each = (f"scenes data/{name} --seed {seed}" for seed, name in enumerate(names))
    return "; ".join(f"poise data prepare {words}" for words in each)


def prepared(*names: str) -> str:
    """Returns commands that prepare the folder `photos` as datasets in `data/`."""
    return "; ".join(f"poise data prepare photos data/{name}" for name in names)


def _newest(run: str) -> str:
    """Returns words of a shell that find the newest backbone of a run or of a study's trials."""
    return f"$(ls -td $PWD/runs/{run}*/checkpoint_*/backbone | head -1)"


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
    "docs/command-line.md": Reading(
        before=f"""
            {GIVEN} versions=scenes-vit production=scenes-vit
            {scenes("scenes-train", "scenes-test")}
        """,
        after="python -m json.tool comparison.json",
    ),
    "docs/datasets.md": Reading(
        around="""
            serving 5977 python -m tests.s3_server 5977 bucket
            export AWS_EC2_METADATA_DISABLED=true
        """,
        before=f"""
            {GIVEN} photos=photos masks=photo-masks voc=VOC2007 voc=VOCdevkit/VOC2012 clips=clips
            {GIVEN} coco=coco/val2017 coco=coco/train2014 davis=DAVIS
            {GIVEN} photos=imagenet/train photos=imagenet/val
            export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1
            export AWS_ENDPOINT_URL=http://127.0.0.1:5977
            {GIVEN} photos=s3://bucket/raw dino=s3://bucket/models/dino_vits16.pth
        """,
        replaced={
            "AWS_ACCESS_KEY_ID=…": "AWS_ACCESS_KEY_ID=any",
            "AWS_SECRET_ACCESS_KEY=…": "AWS_SECRET_ACCESS_KEY=any",
            "eu-central-1": "us-east-1",
            "https://s3.example.org": "http://127.0.0.1:5977",
            "poise pretrain recipe.yaml data.dataset=s3://bucket/photos":
                "package=$(POISE_STORAGE=s3://bucket/runs poise pretrain "
                "pipelines/recipes/dino_scenes_demo.yaml evaluation.queries=null "
                "data.dataset=s3://bucket/photos --quiet)",
            "s3://bucket/runs/RUN/checkpoint_…/backbone": '"$package"',
            "MODEL": '"$package"',
        },
    ),
    "docs/training.md": Reading(
        before=scenes("imagenet-train", "imagenet-val", "scenes-train", "scenes-test"),
        replaced={
            "my_recipe.yaml": DEMO_RECIPE,
            "RECIPE": DEMO_RECIPE,
            "runs/NAME/before_divergence/backbone":
                f'"{_newest("dino-scenes-demo")}" backbone.options.depth=2',
        },
    ),
    "docs/cluster/README.md": Reading(
        around=HEAD,
        before=scenes("cifar10", "cifar10-test"),
        replaced={
            "HEAD:8265": "127.0.0.1:5987",
            "127.0.0.1:8265": "127.0.0.1:5987",
            "/shared/": "$PWD/data/",
            "poise jobs list": "export RAY_ADDRESS=http://127.0.0.1:5987; poise jobs list",
            "demo-1f3a9c02": '"$(poise jobs list --quiet | tail -1)"',
            "RAY_AUTH_MODE=token ray start --head --port=6379": f"served 5997 {START}",
        },
        not_run={"poise submit --cluster cluster.yaml": "it needs machines at AWS"},
    ),
    "docs/cluster/single-machine.md": Reading(
        before=scenes("cifar10", "cifar10-test"),
        replaced={
            "RAY_AUTH_MODE=token POISE_HOME=/data/runs ray start --head":
                f"serving 5997 {START}",
            "127.0.0.1:8265": "127.0.0.1:5997",
            "=/data/": "=$PWD/data/",
        },
        after='poise jobs attach "$(poise jobs list --quiet)"',
    ),
    "docs/results.md": Reading(
        before=f"""
            {GIVEN} parquet=cifar10/train.parquet parquet=cifar10/test.parquet
            {GIVEN} photos=imagenet-samples dinov2=dinov2.safetensors
            poise models import dinov2.safetensors --name dinov2-derived
            {scenes("scenes-2048", "scenes-500", "scenes-128", "scenes-300")}
        """,
        replaced={
            "BACKBONE": f'"{_newest("dino-cifar10-seeds-*/")}"',
            "MAE DINO": f'"{_newest("mae-cifar10-seeds-*/")}" "{_newest("dino-cifar10-seeds-*/")}"',
            "models:/cifar10-all-dino-resnet18/1": f'"{_newest("dino-resnet-cifar10")}"',
            "models:/NAME/1": f'"{_newest("mae-scenes")}" backbone.options.depth=2',
        },
        not_run={"make faults": "it takes an hour; tests/faults/test_faults.py has each kind"},
    ),
    "docs/results/evaluations.md": Reading(
        before=scenes("scenes-train", "scenes-test"),
        replaced={
            "DINO": f'"{_newest("scenes-dino")}"',
            "MAE": f'"{_newest("scenes-mae")}"',
        },
    ),
    "docs/results/registers.md": Reading(
        before=f"{GIVEN} dinov2=dinov2-derived-vits14.safetensors photos=imagenet-samples",
    ),
    **{
        f"docs/results/{study}.md": Reading(
            before=scenes("cifar10-train", "cifar10-test", "scenes-train", "scenes-test")
        )
        for study in (
            "centering-rate-cifar10", "centering-rate-scenes", "parts-scenes",
            "sharpening-centering-cifar10", "sharpening-centering-scenes",
        )
    },
}  # fmt: skip
"""Pages that run, in the order in which a newcomer meets them."""

NOT_RUN: Mapping[str, str] = {
    "CONTRIBUTING.md": "it clones the repository and runs its tests",
    "docs/contribute.md": "tests/test_contribute_page.py applies its example",
    "docs/notebooks.md": "tests/test_notebooks.py runs the notebooks; `jupyter lab` does not end",
    "docs/cluster/kuberay.md": "it needs Kubernetes",
    "docs/cluster/mlflow.md": "it needs rights on PostgreSQL; tests/integration/test_postgresql.py "
    "starts one",
    "docs/cluster/on-premise.md": "it needs machines that are reached with SSH",
    "docs/cluster/slurm.md": "it needs SLURM",
}
"""Pages whose commands cannot run here, each with the reason. They are checked without running."""
