"""The shape of the house, held by the code itself."""

import ast
import os
import platform
import re
import subprocess
import sys
import tokenize
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeGuard, get_args

import pytest
import yaml
from pydantic import BaseModel

from poise.config import Recipe, Space, load_recipe, load_space
from poise.config.base import Strict
from poise.config.keys import field_names, groups

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "platform" / "poise"
SCRIPTS = REPOSITORY / "pipelines"

STAGES = (
    "config",
    "cluster",
    "data",
    "models",
    "objectives",
    "diagnostics",
    "training",
    "evaluation",
    "tracking",
    "runs",
    "studies",
    "reports",
    "sweeps",
    "cli",
)

HOMES = {
    "ray.data": "data/stream/stream.py",
    "ray.train": "training/worker",
    "ray.tune": "sweeps/",
    "mlflow": "tracking/",
    "ray.job_submission": "cluster/",
    "ray._private": "cluster/resources.py",
}
"""Library → the one place that may import it."""

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 6

WITHOUT_RAY = ("studies", "reports")
"""Stages that read what studies left behind, on machines where nothing runs."""

MODULES = sorted(PACKAGE.rglob("*.py"))
RECIPES = sorted((SCRIPTS / "recipes").rglob("*.yaml"))
SPACES = sorted((REPOSITORY / "search_spaces").rglob("*.yaml"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported dotted name and its line, also inside functions and under TYPE_CHECKING.

    ``from ray import data`` yields ``ray.data``.
    """
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{_short(path)}:{node.lineno}: a relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _attributes(path: Path) -> Iterator[tuple[str, int]]:
    """``ray.data`` in ``ray.data.range(3)``: `import ray` alone reaches its libraries too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno


def _short(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _is_within(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def _tracked() -> list[Path]:
    """Text files that are, or are about to be, under version control."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    paths = [REPOSITORY / name for name in listing.stdout.splitlines()]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


def test_a_stage_imports_only_stages_to_its_left() -> None:
    wrong = []
    for path in MODULES:
        stage = path.relative_to(PACKAGE).parts[0]
        if stage not in STAGES:
            continue
        for name, line in _imports(path):
            used = name.split(".")[1] if name.startswith("poise.") else stage
            if used in STAGES and STAGES.index(used) > STAGES.index(stage):
                wrong.append(f"{_short(path)}:{line}: {stage} imports {name}, to its right")
    assert not wrong, "\n".join(wrong)


def test_every_folder_of_the_package_is_a_stage() -> None:
    folders = {path.relative_to(PACKAGE).parts[0] for path in MODULES if path.parent != PACKAGE}
    assert folders <= set(STAGES)


def test_each_library_stays_in_its_one_place() -> None:
    wrong = []
    for path in MODULES:
        inside = path.relative_to(PACKAGE).as_posix()
        for name, line in (*_imports(path), *_attributes(path)):
            for library, home in HOMES.items():
                if _is_within(name, library) and not inside.startswith(home):
                    wrong.append(f"{_short(path)}:{line}: {name} belongs in poise/{home}")
    assert not wrong, "\n".join(wrong)


def _module(path: Path) -> str:
    """``poise.config.keys`` for ``platform/poise/config/keys.py``."""
    dotted = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def _load_without(libraries: tuple[str, ...], paths: list[Path]) -> str:
    """What a fresh interpreter without these libraries complains about when it loads modules."""
    program = f"""
import importlib
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(f"{{name}} is imported")

sys.meta_path.insert(0, Absent())
for name in {[_module(path) for path in paths]}:
    importlib.import_module(name)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return result.stderr if result.returncode else ""


@pytest.mark.slow
def test_the_science_needs_neither_ray_nor_mlflow() -> None:
    folders = ("objectives", "diagnostics")
    paths = [path for folder in folders for path in sorted((PACKAGE / folder).rglob("*.py"))]
    paths += [
        PACKAGE / name for name in ("data/views/cutter.py", "data/views/color_augmentation.py")
    ]
    assert not _load_without(("ray", "mlflow"), paths)


@pytest.mark.slow
def test_studies_and_reports_load_without_ray() -> None:
    paths = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in WITHOUT_RAY]
    assert not _load_without(("ray",), paths)


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module that run when it is imported, those of type checkers left out."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _run_at_import(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from _run_at_import([each for each in ast.walk(node) if _is_import(each)])
        else:
            yield node


def _is_import(node: ast.AST) -> TypeGuard[ast.stmt]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _needs(path: Path, names: Collection[str]) -> set[str]:
    """Modules of the package that must be loaded before this one."""
    imported: set[str] = set()
    for node in _run_at_import(_tree(path).body):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                imported.add(module if module in names else str(node.module))
    return {name for name in imported if name in names} - {_module(path)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {_module(path) for path in MODULES}
    graph = {_module(path): _needs(path, names) for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_functions_have_at_most_six_parameters() -> None:
    wrong = []
    for path in MODULES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                written = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                count = len([each for each in written if each.arg not in ("self", "cls")])
                if count > MAX_PARAMETERS:
                    wrong.append(f"{_short(path)}: {node.name} has {count}")
    assert not wrong, "\n".join(wrong)


def test_nothing_shadows_the_standard_library() -> None:
    # A `platform/__init__.py` would: under Ray every worker then dies at `import ray` while the
    # driver waits for ever. A script's own folder comes first on its path: `pipelines/queue.py`.
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    scripts = {path.stem for path in (*REPOSITORY.glob("*.py"), *SCRIPTS.glob("*.py"))}
    assert not (packages | scripts) & sys.stdlib_module_names
    assert platform.system()


def test_files_and_functions_stay_short() -> None:
    wrong = []
    for path in MODULES:
        length = len(path.read_text(encoding="utf-8").splitlines())
        if length > MAX_FILE_LINES:
            wrong.append(f"{_short(path)}: {length} lines")
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    wrong.append(f"{_short(path)}:{node.lineno}: {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_every_module_opens_with_what_it_is_for() -> None:
    assert not [_short(path) for path in MODULES if not ast.get_docstring(_tree(path))]


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every docstring and comment of a module with its first line, those of attributes too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def _is_there(name: str) -> bool:
    """Whether a dotted name of the package is a folder, a module or something inside a module."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        place = PACKAGE.parent.joinpath(*parts[:count])
        rest = set(parts[count:])
        if place.is_dir() and not rest:
            return True
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.is_file():
            return rest <= set(_names(file))
    return False


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def _is_a_file(name: str) -> bool:
    return any((root / name).is_file() for root in (PACKAGE, REPOSITORY))


def test_every_place_that_a_docstring_or_comment_names_exists() -> None:
    # One part after `poise.` that is no stage is a tag in MLflow: `poise.folder`.
    dotted = re.compile(rf"\bpoise\.(?:(?:{'|'.join(STAGES)})\b(?:\.\w+)*|\w+(?:\.\w+)+)")
    file = re.compile(r"\b\w+(?:/\w+)*/\w+\.py\b")
    wrong = []
    for path in MODULES:
        for line, text in _texts(path):
            gone = [name for name in dotted.findall(text) if not _is_there(name)]
            gone += [name for name in file.findall(text) if not _is_a_file(name)]
            wrong += [f"{_short(path)}:{line}: {name} does not exist" for name in gone]
    assert not wrong, "\n".join(wrong)


def test_there_are_recipes_and_spaces() -> None:
    assert RECIPES
    assert SPACES


@pytest.mark.parametrize("path", RECIPES, ids=_short)
def test_a_recipe_loads_and_is_complete(path: Path) -> None:
    load_recipe(path)
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert not list(_missing(Recipe, written)), "seeing the file is seeing the run"


def _missing(model: type[BaseModel], tree: dict[str, object], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        value = tree.get(name)
        if name not in tree:
            yield f"{prefix}{name}"
        elif isinstance(value, dict):
            for group in groups(field.annotation):
                if len(groups(field.annotation)) == 1 or value.get("name") in get_args(
                    group.model_fields["name"].annotation
                ):
                    yield from _missing(group, value, f"{prefix}{name}.")


@pytest.mark.parametrize("path", SPACES, ids=_short)
def test_a_space_loads_and_so_does_its_recipe(path: Path) -> None:
    space = load_space(path)
    load_recipe(path.parent / space.recipe)
    assert set(space.parameters) <= set(field_names(Recipe)) | {
        key for key in space.parameters if key.startswith("backbone.options.")
    }


@pytest.mark.parametrize("path", SPACES, ids=_short)
def test_a_space_says_what_it_asks_and_what_is_known(path: Path) -> None:
    space = load_space(path)
    assert space.question.endswith("?"), "it opens the report"
    assert space.published, "the report holds its answer against this"


@pytest.mark.parametrize("model", [Recipe, Space], ids=lambda model: model.__name__)
def test_every_setting_is_read_somewhere(model: type[Strict]) -> None:
    readers = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "config"]
    readers.append(PACKAGE / "config" / "space_files.py")  # finds the recipe of a space
    read = {tail for path in readers for node in ast.walk(_tree(path)) for tail in _tails(node)}
    read |= _read_by_the_configuration()
    unread = []
    for name in field_names(model):
        group, _, leaf = f"{model.__name__.lower()}.{name}".rpartition(".")
        # Not the leaf alone: `re.compile` reads no setting `training.compile`.
        if not {f"{group.rpartition('.')[2]}.{leaf}", f"config.{leaf}"} & read:
            unread.append(name)
    assert not unread, "a setting that nothing reads is a promise that nothing keeps"


def _tails(node: ast.AST) -> Iterator[str]:
    """``training.compile`` of ``self.recipe.training.compile``."""
    if isinstance(node, ast.Attribute):
        owner = getattr(node.value, "attr", getattr(node.value, "id", ""))
        yield f"{owner.lstrip('_')}.{node.attr}"


def _read_by_the_configuration() -> set[str]:
    """Fields behind the derived properties that the other stages read."""
    return {
        f"{model.name.lower().removesuffix('config')}.{tail.removeprefix('self.')}"
        if tail.startswith("self.")
        else tail
        for path in (PACKAGE / "config").glob("*.py")
        for model in ast.walk(_tree(path))
        if isinstance(model, ast.ClassDef)
        for reader in model.body
        if isinstance(reader, ast.FunctionDef)
        and any(getattr(mark, "id", None) == "property" for mark in reader.decorator_list)
        for node in ast.walk(reader)
        for tail in _tails(node)
    }


def test_nothing_under_version_control_is_a_link() -> None:
    # A link names a folder of one machine, and `/data/` in .gitignore does not leave it out.
    assert not [_short(path) for path in _tracked() if path.is_symlink()]
    listing = subprocess.run(
        ["git", "ls-files", "-s"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert not [line for line in listing.stdout.splitlines() if line.startswith("120000")]


def test_no_file_names_a_package_index_or_this_machines_folders() -> None:
    # Written in pieces, or this file would name them itself.
    index = re.compile(
        "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "--(extra-)?index" + "-url"])
    )
    folder = str(REPOSITORY)
    wrong = [
        _short(path)
        for path in _tracked()
        if index.search(text := path.read_text(encoding="utf-8", errors="replace"))
        or f"{folder}{os.sep}" in text
    ]
    assert not wrong
