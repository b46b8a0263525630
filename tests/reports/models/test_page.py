"""The page of `poise models compare`: pictures of several models side by side."""

import re
from pathlib import Path

from PIL import Image

from poise.reports.models import read_content, render_page
from poise.tracking.evaluation import log_evaluation
from poise.tracking.registry.comparison import compare_versions
from poise.tracking.registry.version import Version, stored_tags
from poise.tracking.run import create_run
from poise.tracking.store import Store
from tests.tracking.conftest import store

__all__ = ["store"]  # a fixture

ATTENTION, NORMS = "attention/scenes/last-block.png", "attention/scenes/norms.png"
RETRIEVAL, ELSEWHERE = (
    f"probes/retrieval-same-class-v1/{name}/nearest-images.png" for name in ("scenes", "photos")
)


def made(store: Store, folder: Path, number: int, *pictures: str) -> Version:
    """A version whose run has these pictures. Each picture is a file of its own."""
    run = create_run(store, "scenes", f"run-{number}", folder / str(number))
    for path in pictures:
        place, _, name = path.rpartition("/")
        file = folder / str(number) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, len(path), 0)).save(file)
        log_evaluation(run.run_id, {}, [file], place, store)
    return Version("vit", number, (), number, run.run_id, "/nowhere", stored_tags({}, {}))


def shown(html: str) -> list[tuple[str, str]]:
    """The text and the source of each picture on the page."""
    return [(alt, source) for source, alt in re.findall(r'<img src="([^"]+)" alt="([^"]+)">', html)]


def test_attention_norms_and_retrieval_of_two_models_stand_side_by_side(
    store: Store, tmp_path: Path
) -> None:
    first = made(store, tmp_path, 1, ATTENTION, NORMS, RETRIEVAL)
    second = made(store, tmp_path, 2, ATTENTION, NORMS)
    html = render_page(read_content(store, compare_versions(store, [first, second])))
    pictures = shown(html)
    assert [alt for alt, _ in pictures] == [
        f"{ATTENTION} of vit/1", f"{ATTENTION} of vit/2",
        f"{NORMS} of vit/1", f"{NORMS} of vit/2",
        f"{RETRIEVAL} of vit/1",
    ]  # fmt: skip
    sources = [source for _, source in pictures]
    assert len(set(sources)) == 5, "each model has its own picture"
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert html.count("no such picture") == 1


def test_pictures_of_different_datasets_are_never_in_one_row(store: Store, tmp_path: Path) -> None:
    first = made(store, tmp_path, 1, RETRIEVAL)
    second = made(store, tmp_path, 2, ELSEWHERE)
    content = read_content(store, compare_versions(store, [first, second]))
    rows = {row.path: [image is not None for image in row.pictures] for row in content.pictures}
    assert rows == {RETRIEVAL: [True, False], ELSEWHERE: [False, True]}
