"""Tables of docs/scale.md: runs on 1 to 512 GPUs, computed from stated assumptions.

Run as ``python tests/benchmarks/scale/simulate_scale.py``. It prints the tables. With ``--write``
it replaces them on the page; a test compares both. ``measure_memory.py`` measures what the page
calls measured.
"""

import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # run as a script, not as a module

from tests.benchmarks.scale import cluster as assumed
from tests.benchmarks.scale.cluster import Cluster, metrics_per_log
from tests.benchmarks.scale.sharded_memory import (
    VIT_7B,
    VIT_BASE,
    VIT_GIANT,
    VIT_LARGE,
    VIT_SMALL,
    memory_of,
    parameters_of,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "scale.md"
GPUS = (1, 8, 64, 512)
IMAGES = {"1 M": 10**6, "100 M": 10**8, "1 B": 10**9}
SHARING = (8, 64, 512)
IMAGES_PER_GPU_OF_LARGE = 16


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Makes a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def assumptions() -> str:
    """Lists what the other tables take for granted."""
    rows = {
        "bytes of an encoded image": f"{assumed.IMAGE_BYTES:,}",
        "images in a row group": f"{assumed.ROWS_PER_GROUP}",
        "GPUs on a node": f"{assumed.GPUS_PER_NODE}",
        "images of a step on each GPU": f"{assumed.IMAGES_PER_GPU}",
        "backbone and views": "DINO ViT-B/16, 2 × 224 and 8 × 96 px",
        "FLOPs of a step per image": f"{_flops_per_image() / 1e9:.0f} G",
        "speed of a GPU": f"{assumed.MFU:.0%} of {assumed.PEAK_FLOPS / 1e12:.0f} TFLOP/s (H100)",
        "batches of views that wait for each worker": f"{assumed.PREFETCHED_BATCHES}",
        "blocks in the object store for each worker": (
            f"{assumed.BLOCKS_PER_WORKER} of {assumed.BLOCK_BYTES / 2**20:.0f} MiB"
        ),
        "steps between logged steps": f"{assumed.LOG_EVERY_STEPS}",
        "speed of writing a checkpoint": f"{assumed.STORED_BYTES_PER_S / 1e9:.0f} GB/s",
    }
    return markdown(["Assumption", "Value"], rows.items())


def _flops_per_image() -> float:
    return assumed.VIT_BASE.matmul_flops() / assumed.IMAGES_PER_GPU


def epochs() -> str:
    """Computes the time of an epoch."""
    columns = ["GPUs", "batch", "images/s", *(f"an epoch of {name}" for name in IMAGES)]
    return markdown(
        columns,
        [
            [
                f"{each.num_gpus}",
                f"{each.batch_size:,}",
                f"{each.images_per_s:,.0f}",
                *(_duration(count / each.images_per_s) for count in IMAGES.values()),
            ]
            for each in map(Cluster, GPUS)
        ],
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def reading() -> str:
    """Computes what all workers read from the storage."""
    columns = [
        "GPUs", "lanes", "reads per image", "from storage", "of it per node",
        *(f"an epoch of {name}" for name in IMAGES),
    ]  # fmt: skip
    return markdown(
        columns,
        [
            [
                f"{each.num_gpus}",
                f"{each.plan.num_lanes}",
                f"{each.reads_per_image:.1f}",
                f"{each.read_bytes_per_s / 1e9:.2f} GB/s",
                f"{each.read_bytes_per_s / each.num_nodes / 1e9:.2f} GB/s",
                *(
                    f"{count * assumed.IMAGE_BYTES * each.reads_per_image / 1e12:,.2f} TB"
                    for count in IMAGES.values()
                ),
            ]
            for each in map(Cluster, GPUS)
        ],
    )


def nodes() -> str:
    """Computes the memory of a node for data, and what passes through its object store."""
    columns = [
        "GPUs", "nodes", "encoded images held", "views that wait", "blocks in the object store",
        "through the object store, `placement: worker`", "the same, `placement: cluster`",
    ]  # fmt: skip
    return markdown(
        columns,
        [
            [
                f"{each.num_gpus}",
                f"{each.num_nodes}",
                f"{each.held_bytes / 2**20:,.0f} MiB",
                f"{each.prefetched_bytes / 2**20:,.0f} MiB",
                f"{each.stored_blocks_bytes / 2**20:,.0f} MiB",
                f"{each.moved_bytes_per_s('worker') / 1e9:.2f} GB/s",
                f"{each.moved_bytes_per_s('cluster') / 1e9:.2f} GB/s",
            ]
            for each in map(Cluster, GPUS)
        ],
    )


def checkpoints() -> str:
    """Computes size and time of a checkpoint, which one worker writes."""
    rows = []
    for model in (VIT_SMALL, VIT_BASE, VIT_LARGE, VIT_GIANT, VIT_7B):
        parameters = parameters_of(model)
        taken_s = parameters.checkpoint_bytes / assumed.STORED_BYTES_PER_S
        rows.append(
            [
                model.title,
                f"{parameters.backbone / 1e6:,.0f} M",
                f"{parameters.head / 1e6:,.0f} M",
                f"{parameters.checkpoint_bytes / 1e9:,.1f} GB",
                f"{taken_s:,.1f} s",
                f"{taken_s / assumed.CHECKPOINT_SHARE / 60:,.1f} min",
            ]
        )
    columns = ["Backbone", "parameters", "head", "checkpoint", "time", "interval for 2 %"]
    return markdown(columns, rows)


def metrics() -> str:
    """Computes what trials of one GPU each write to the tracking server at once."""
    points, trial = metrics_per_log(), Cluster(1)
    interval_s = assumed.LOG_EVERY_STEPS * trial.s_per_step
    return markdown(
        ["Trials at once", "requests/s", "points/s", "points per trial and day"],
        [
            [
                f"{count}",
                f"{count / interval_s:,.2f}",
                f"{count * points / interval_s:,.0f}",
                f"{points * 86_400 / interval_s:,.0f}",
            ]
            for count in GPUS
        ],
    )


def sharded() -> str:
    """Computes the memory of large backbones that GPUs share."""
    columns = [
        "Backbone", "GPUs", "states", "at most in a step", "the same with activation checkpointing",
    ]  # fmt: skip
    rows = []
    for model in (VIT_GIANT, VIT_7B):
        for num_gpus in SHARING:
            plain, recomputed = (
                memory_of(model, num_gpus, IMAGES_PER_GPU_OF_LARGE, recomputes)
                for recomputes in (False, True)
            )
            shown = [
                f"{size / 2**30:.1f} GiB" for size in (plain.states, plain.most, recomputed.most)
            ]
            rows.append([model.title, f"{num_gpus}", *shown])
    return markdown(columns, rows)


TABLES = {
    "assumptions": assumptions,
    "epochs": epochs,
    "reading": reading,
    "nodes": nodes,
    "checkpoints": checkpoints,
    "metrics": metrics,
    "sharded": sharded,
}


def with_tables(page: str, names: Collection[str] = TABLES) -> str:
    """Replaces every table between ``<!-- computed: NAME -->`` and ``<!-- end -->``.

    Args:
        page: text of the page.
        names: tables that are replaced; the others stay as they are.

    Raises:
        KeyError: there is no table of this name.
    """

    def computed(match: re.Match[str]) -> str:
        name = match[1]
        if name in TABLES and name not in names:
            return match[0]
        return f"<!-- computed: {name} -->\n\n{TABLES[name]()}\n\n<!-- end -->"

    return re.sub(r"<!-- computed: (\w+) -->\n.*?<!-- end -->", computed, page, flags=re.DOTALL)


def main() -> None:
    """Prints the tables, or writes them to the page."""
    if "--write" in sys.argv:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_tables(page), encoding="utf-8")
        return
    for name, table in TABLES.items():
        print(f"{name}\n\n{table()}\n")


if __name__ == "__main__":
    main()
