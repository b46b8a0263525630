"""Studies and reports load without Ray: a stored study is read on any machine."""

import subprocess
import sys
from pathlib import Path

import pytest

import poise

PACKAGE = Path(poise.__file__).parent

PROGRAM = """
import importlib
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"{name} is imported")

sys.meta_path.insert(0, Absent())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "absent"), [("studies", "ray,torch"), ("reports", "ray")])
def test_studies_and_reports_load_without_ray(stage: str, absent: str) -> None:
    names = [
        ".".join(("poise", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in sorted((PACKAGE / stage).rglob("*.py"))
        if path.stem != "__init__"
    ]
    assert len(names) > 10
    program = [sys.executable, "-c", PROGRAM, absent, *names]
    result = subprocess.run(program, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
