"""A job takes code and settings along, and nothing else."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from poise.cluster.job_files import MOST_BYTES, project_files
from poise.config.errors import PoiseError

REPOSITORY = Path(__file__).resolve().parents[2]
SENT = [
    "platform/poise/data/batch.py", "platform/poise/reports/page.html", "pipelines/recipes/a.yaml",
    "search_spaces/a.yaml", "classes.txt", "pyproject.toml",
]  # fmt: skip
KEPT_HERE = [
    # data and results
    "data/train/shard-00000.parquet", "data/train/manifest.json", "datasets/a/manifest.json",
    "runs/a/recipe.yaml", "runs/mlflow.db", "mlruns/0/meta.yaml", "results/model.safetensors",
    "weights.pt", "images.tar", "photo.jpg",
    # caches, environments, tests
    ".git/HEAD", ".venv/lib/site.py", "venv/bin/activate.py", "platform/poise/__pycache__/a.json",
    "tests/test_a.py",
    # secrets
    ".env", ".env.local", ".aws/credentials", ".ssh/id_rsa", ".netrc", ".config/gcloud/key.json",
    "prod.env", "id_ed25519", "server.pem", "server.key", "store.p12", "credentials.json",
    "conf/secrets.yaml", "conf/hf_token.txt", "kubeconfig.yaml", "service-account.json",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [*SENT, *KEPT_HERE]:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return tmp_path / "project"


def _chosen(folder: Path) -> list[str]:
    return [name.as_posix() for name in project_files(folder).chosen]


def test_code_and_settings_are_chosen_and_data_results_and_secrets_are_not(folder: Path) -> None:
    assert _chosen(folder) == sorted(SENT)


def test_in_a_checkout_what_git_ignores_is_left_out(folder: Path) -> None:
    (folder / ".git" / "HEAD").unlink()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".gitignore").write_text("scratch/\n")
    (folder / "scratch").mkdir()
    (folder / "scratch" / "notes.txt").touch()
    (folder / "new_recipe.yaml").touch()  # not yet known to git
    assert _chosen(folder) == sorted([*SENT, "new_recipe.yaml"])


def test_a_folder_of_results_elsewhere_in_the_project_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(folder / "out"))
    (folder / "out" / "run").mkdir(parents=True)
    (folder / "out" / "run" / "recipe.yaml").touch()
    assert _chosen(folder) == sorted(SENT)


def test_large_files_and_links_to_other_folders_are_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "table.csv").write_bytes(b"0" * (MOST_BYTES + 1))
    (tmp_path / "elsewhere.json").touch()
    (folder / "link.json").symlink_to(tmp_path / "elsewhere.json")
    (folder / "folder").symlink_to(tmp_path)
    assert _chosen(folder) == sorted(SENT)


def test_a_secret_in_a_chosen_file_is_refused_with_its_line(folder: Path) -> None:
    path = folder / "pipelines" / "recipes" / "a.yaml"
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    path.write_text(f"name: a\nkey: {secret}\n")
    with pytest.raises(PoiseError) as raised:
        project_files(folder)
    assert str(raised.value).startswith(f"{path}:2: looks like an access key of AWS")
    assert secret not in str(raised.value)


def test_a_folder_with_too_many_files_is_no_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise.cluster.job_files.MOST_FILES", len(SENT) - 1)
    with pytest.raises(PoiseError, match=r"change into the folder of your project first"):
        project_files(folder)


def test_a_file_whose_name_is_no_text_is_left_out(folder: Path) -> None:
    (folder / os.fsdecode(b"bad-\xff.json")).touch()
    (folder / "line\nbreak.json").touch()
    assert _chosen(folder) == sorted(SENT)


def test_poise_itself_can_be_sent() -> None:
    chosen = project_files(REPOSITORY).chosen
    assert {"platform", "pipelines", "search_spaces"} <= {name.parts[0] for name in chosen}
    assert not {"tests", "docs", "runs"} & {name.parts[0] for name in chosen}


def test_the_same_content_makes_the_same_archive(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    project_files(folder).write_archive(first, {".poise/job.sh": "echo\n"})
    (folder / "classes.txt").touch()  # another date
    project_files(folder).write_archive(second, {".poise/job.sh": "echo\n"})
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert sorted(archive.namelist()) == sorted([".poise/job.sh", *SENT])
        assert archive.read("classes.txt") == b"# classes.txt\n"
