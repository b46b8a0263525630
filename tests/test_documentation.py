"""What the documentation promises to list, held against the code."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipelines.headless_browser import IS_THERE, PATIENCE_S, headless_browser, show_page
from pipelines.settings_reference import reference
from poise.config import Space, metrics
from poise.config.samplers import SAMPLERS
from poise.config.search_and_scheduler import SchedulerConfig, SearcherConfig
from poise.config.space import Budget
from poise.diagnostics.judge import Limits, VerdictKind
from poise.sweeps.population import MUTABLE

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs" / "cluster").glob("*.md")),
]
SPACES = sorted((REPOSITORY / "search_spaces").glob("*.yaml"))


def _read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def _in_code(page: str) -> set[str]:
    """Everything between backticks on a page, outside its blocks of code."""
    prose = re.sub(r"^```.*?^```", "", _read(page), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", prose))


def _metric_names() -> list[str]:
    groups = [value for name, value in vars(metrics).items() if name.isupper()]
    return [name for group in groups for name in group]


def test_every_metric_is_explained() -> None:
    names = _metric_names()
    assert names
    assert not set(names) - _in_code("docs/diagnostics.md")


def test_every_group_of_metrics_is_part_of_the_list_of_all() -> None:
    assert set(_metric_names()) == metrics.METRICS


def test_every_verdict_is_explained() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", _read("docs/diagnostics.md"), re.MULTILINE)
    assert not {str(kind) for kind in VerdictKind} - set(rows)


def test_the_limits_of_verdicts_are_those_that_judge() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.e-]+) \|", _read("docs/diagnostics.md"), re.MULTILINE)
    assert {name: float(value) for name, value in rows} == asdict(Limits())


def test_every_part_of_a_space_is_explained() -> None:
    choices: list[Any] = [SchedulerConfig, SearcherConfig]
    named = [name for each in choices for name in get_args(each.model_fields["name"].annotation)]
    budgets = [f"budget.{name}" for name in Budget.model_fields]
    wanted = {*Space.model_fields, *SAMPLERS, *MUTABLE, *named, *budgets}
    assert not wanted - _in_code("docs/studies.md")


def test_a_page_says_what_every_shipped_space_asks() -> None:
    rows = re.findall(
        r"^\| \[[^]]+\]\(../search_spaces/([^)]+)\) \|", _read("docs/spaces.md"), re.MULTILINE
    )
    assert sorted(rows) == [path.name for path in SPACES]


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert _read("docs/settings.md") == reference(), "run: python pipelines/settings_reference.py"


def test_every_setting_is_explained() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(_read("README.md").splitlines()) <= 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a site, built without a warning."""
    site = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return site


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?:[^\" >]+)")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        assert not loaded.findall(page.read_text(encoding="utf-8")), page.name


@pytest.mark.slow
def test_the_search_works_on_a_site_that_is_opened_from_the_disk(
    site: Path, tmp_path: Path
) -> None:
    if not IS_THERE:
        pytest.skip("no chromium with chromedriver on the PATH")
    with headless_browser(tmp_path / "profile") as browser:
        show_page(browser, (site / "cluster" / "index.html").as_uri(), (1300, 800))
        box = browser.find_element(By.CSS_SELECTOR, "[data-md-component=search-query]")
        browser.execute_script("arguments[0].focus()", box)
        wait = WebDriverWait(browser, PATIENCE_S)
        wait.until(lambda _: box.is_displayed())
        box.send_keys("sharpening")
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".md-search-result__item"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]
