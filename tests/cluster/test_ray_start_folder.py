import os
from pathlib import Path

import pytest

from poise.cluster.ray_start_folder import neutral_folder, shadows


def test_modules_that_take_the_place_of_pythons_own_are_found(tmp_path: Path) -> None:
    for name in ("http.py", "recipe.yaml", "poise.py", "queue.txt"):
        (tmp_path / name).touch()
    for name in ("json", "platform"):
        (tmp_path / name).mkdir()
    (tmp_path / "json" / "__init__.py").touch()
    assert shadows(tmp_path) == ["http.py", "json"], "a plain folder `platform` is no package"


@pytest.mark.parametrize("deleted", [False, True])
def test_ray_starts_from_elsewhere_where_the_current_folder_would_break_it(
    tmp_path: Path, deleted: bool
) -> None:
    before, here = Path.cwd(), tmp_path / "here"
    here.mkdir()
    os.chdir(here)
    try:
        with neutral_folder():
            assert Path.cwd() == here, "its modules are for the workers as well"
        here.rmdir() if deleted else (here / "http.py").touch()
        with neutral_folder():
            assert Path.cwd() == Path("/")
            assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ.get("PYTHONSAFEPATH") != "1"
        assert deleted or Path.cwd() == here
    finally:
        os.chdir(before)
