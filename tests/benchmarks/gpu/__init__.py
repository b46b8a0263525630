"""Benchmark of one GPU. Where pydantic is missing, a stand-in for it takes its place."""

import importlib.util
import sys

if importlib.util.find_spec("pydantic") is None:
    from tests.benchmarks.gpu import pydantic_stand_in

    sys.modules["pydantic"] = pydantic_stand_in
