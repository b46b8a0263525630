"""Injects all faults and prints their table: `make faults`.

`--write FILE` also writes the table to a file. `--part` carries out only the faults of one process,
or only those of a cluster.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import campaign, cluster_faults
from tests.faults.attempt import forked_fast
from tests.faults.autoscaled import sweep_gets_nodes
from tests.faults.campaign import COUNTS, Arena, Row, table
from tests.faults.cluster_arena import cluster_arena

SEED = 0


def main() -> None:
    """Runs the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", type=Path, help="file for the table")
    parser.add_argument("--part", choices=("all", "process", "cluster"), default="all")
    options = parser.parse_args()
    started_s, rows = time.monotonic(), list[Row]()
    with tempfile.TemporaryDirectory(prefix="poise-faults-") as folder:
        for row in _rows(Path(folder), options.seed, options.part):
            rows.append(row)
            print(f"{time.monotonic() - started_s:6.0f} s  {row.kind}: {row.words}", flush=True)
            if options.write is not None:
                options.write.write_text(f"{table(rows)}\n", encoding="utf-8")
    print(f"\n{table(rows)}\n\nseed {options.seed}, {time.monotonic() - started_s:.0f} s")


def _rows(folder: Path, seed: int, part: str) -> Iterator[Row]:
    places = [folder / name for name in ("process", "cluster", "autoscaled")]
    for place in places:
        place.mkdir()
    if part != "cluster":
        with forked_fast():
            yield from campaign.carry_out(Arena.open(places[0]), seed, COUNTS)
    if part != "process":
        with cluster_arena(places[1]) as arena:
            yield from cluster_faults.carry_out(arena, seed)
        yield sweep_gets_nodes(places[2])


if __name__ == "__main__":
    main()
