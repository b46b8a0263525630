"""Where runs are kept, and which paths are of this machine."""

from pathlib import Path

import pytest

from poise.config.errors import PoiseError
from poise.config.paths import RECIPE_FILE, check_on_this_machine, claim_folder, has_begun, home


def test_runs_are_not_kept_below_a_folder_that_is_named_like_a_uri(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POISE_HOME", "s3://me:" + "hunter2@bucket/runs")
    with pytest.raises(PoiseError, match=r"POISE_HOME: is a URI, .* set POISE_STORAGE") as raised:
        home()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("text", ["s3://bucket/out.parquet", "fsspec+memory://out", "gs:/bucket"])
def test_a_uri_is_no_file_of_this_machine(text: str) -> None:
    with pytest.raises(PoiseError, match="is written to this machine"):
        check_on_this_machine(Path(text))


@pytest.mark.parametrize("text", ["out.parquet", "/tmp/a:b", "a/b:/c", "c:/x"])
def test_other_paths_are(text: str) -> None:
    check_on_this_machine(Path(text))


def test_a_name_whose_process_was_killed_at_its_beginning_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is there to resume, so the advice to resume it would lead nowhere."""
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    folder = claim_folder("night", "poise pretrain --resume night")
    with pytest.raises(PoiseError, match="delete the folder, or choose another --name"):
        claim_folder("night", "poise pretrain --resume night")
    assert not has_begun(folder)
    (folder / RECIPE_FILE).write_text("name: night")
    assert has_begun(folder)
    with pytest.raises(PoiseError, match="finish it with `poise pretrain --resume night`"):
        claim_folder("night", "poise pretrain --resume night")
