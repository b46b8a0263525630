"""Whoever reads a number can look up what it is, whose it is, what it costs and how to read it."""

import inspect
import re
from collections.abc import Callable
from types import ModuleType

import pytest

from poise.diagnostics import (
    observe,
    parameters,
    patches,
    prototypes,
    reconstruction,
    self_distillation,
    spectrum,
    spread,
    view_agreement,
    views,
)

MODULES = (
    observe,
    self_distillation,
    prototypes,
    parameters,
    patches,
    reconstruction,
    spectrum,
    spread,
    view_agreement,
    views,
)

GATHER_METRICS = {
    *("diagnose", "batch_averages", "usage_metrics", "patch_metrics", "moments", "shares"),
    *("defined", "spectrum_metrics", "spread_metrics", "view_metrics"),
}
ON_THE_WAY_TO_METRICS = {
    *("singular_values", "covariance_eigenvalues", "is_rounding", "eigenvalues", "effective_rank"),
}

FORMULA = re.compile(r"Formula:\s\S")
PARTS = ("Source:", "Cost:", "Healthy:", "Broken:")
PUBLISHED = re.compile(r"none, (?:but|the)\s|arXiv\s\d{4}\.\d{5}|\b(19|20)\d\d\b")


def public_functions(module: ModuleType) -> dict[str, Callable[..., object]]:
    return {
        name: member
        for name, member in vars(module).items()
        if inspect.isfunction(member)
        and member.__module__ == module.__name__
        and not name.startswith("_")
    }


FUNCTIONS = {name: each for module in MODULES for name, each in public_functions(module).items()}
METRICS = sorted({*FUNCTIONS} - GATHER_METRICS - ON_THE_WAY_TO_METRICS)


def test_what_is_excused_exists() -> None:
    assert {*FUNCTIONS} >= GATHER_METRICS | ON_THE_WAY_TO_METRICS
    assert len(METRICS) > 30


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_tells_its_formula_source_cost_and_how_to_read_it(name: str) -> None:
    documentation = inspect.getdoc(FUNCTIONS[name]) or ""
    places = [documentation.find(part) for part in PARTS]
    assert -1 not in places, f"has no {PARTS[places.index(-1)]}"
    assert places == sorted(places), f"not in the order {' '.join(PARTS)}"
    definition, source = documentation[: places[0]], documentation[places[0] : places[1]]
    assert FORMULA.search(definition), "no formula comes before the source"
    assert PUBLISHED.search(source), f"neither published nor said to be ours: {source}"
    assert re.search(r"O\(|pass|only\sthat\sof", documentation[places[1] : places[2]]), "no cost"
