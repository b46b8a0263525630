"""The report in a browser, as a person meets it."""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from pipelines.headless_browser import IS_THERE, PATIENCE_S, Browser, headless_browser, show_page
from poise.reports.study.page import render_page
from poise.studies.findings.findings import Winner, find
from tests.studies.invented import (
    CENTERING,
    TEMPERATURE,
    invented_space,
    invented_study,
    invented_trials,
)

BROWSERS_OWN = ("chrome:", "chrome-untrusted:")
DESKTOP, PHONE = (1280, 900), (390, 844)
A4_LYING = {"paperWidth": 11.69, "paperHeight": 8.27, "generateTaggedPDF": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_THERE, reason="no chromium with chromedriver on the PATH"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study of centering × sharpening, its question full of markup."""
    space = invented_space(
        question="Is <b>centering</b> needed?</script><img src='http://203.0.113.1/'>",
        baseline={CENTERING: 0.9, TEMPERATURE: 0.04},
    )
    records, histories = invented_trials(space, points=50)
    findings = find(
        invented_study(space, "balance"), records, histories, Winner(records[0].trial.name)
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(findings), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with headless_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def visit(browser: Browser, page: Path, size: tuple[int, int], dark: bool = False) -> None:
    """Opens the page at that size and scrolls until every chart is drawn."""
    show_page(browser, page.as_uri(), size, dark)


def requested(browser: Browser) -> set[str]:
    """Every address that the page asked for since the last look.

    The log is of the whole browser, whose own start page may still be loading its parts.
    """
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
    by_a_page = [each for each in sent if not each["documentURL"].startswith(BROWSERS_OWN)]
    return {each["request"]["url"].partition(",")[0] for each in by_a_page}


def printed(browser: Browser) -> dict[bytes, bytes]:
    """The elements that are on paper, as a tagged PDF names them, by their numbers."""
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", A4_LYING)["data"])
    found = re.findall(rb"(\d+) 0 obj\n<</Type /StructElem\n(.*?)\nendobj", pdf, re.DOTALL)
    return dict(found)


def pages_of_charts(elements: dict[bytes, bytes]) -> list[set[bytes]]:
    """The pages that each chart, or a part of it, is on."""
    pages: dict[bytes, set[bytes]] = defaultdict(set)
    for number, element in elements.items():
        here = set(re.findall(rb"/Pg (\d+) ", element))
        while here and number in elements:
            pages[number] |= here
            number = re.findall(rb"/P (\d+) ", elements[number])[0]
    return [pages[number] for number, each in elements.items() if b"/S /Figure\n/Alt" in each]


def press(browser: Browser, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def script(browser: Browser, code: str) -> Any:
    return browser.execute_script(code)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_charts_are_drawn_without_a_complaint_and_without_asking_any_host(
    browser: Browser, page: Path, size: tuple[int, int]
) -> None:
    browser.get_log("browser"), browser.get_log("performance")
    visit(browser, page, size)
    figures = browser.find_elements(By.CSS_SELECTOR, "figure > .chart .main-svg")
    assert len(figures) >= 6
    assert browser.get_log("browser") == []
    asked = requested(browser)
    assert page.as_uri() in asked, "the log does not show what the page asked for"
    assert {url for url in asked if not url.startswith(("file:", "data:"))} == set()
    assert script(browser, "return document.querySelectorAll('img').length") == 0
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    wide, screen = script(browser, widths)
    assert wide <= screen, "one would have to scroll sideways"


def test_the_keyboard_reaches_the_numbers_behind_each_chart(browser: Browser, page: Path) -> None:
    visit(browser, page, DESKTOP)
    summaries = len(browser.find_elements(By.CSS_SELECTOR, "figure summary"))
    reached: set[str] = set()
    script(browser, "document.querySelector('.skip').focus()")
    for _ in range(300):
        press(browser, Keys.TAB)
        tag, figure, drawn = script(
            browser,
            "const here = document.activeElement; "
            "return [here.tagName, here.closest('figure')?.id || '', !!here.closest('.chart')]",
        )
        assert not drawn, "a chart is a picture and has no steps of its own"
        if tag == "SUMMARY" and figure not in {"", *reached}:
            reached.add(figure)
            press(browser, Keys.ENTER, Keys.TAB)
            assert script(browser, "return document.activeElement.getAttribute('role')") == "region"
            WebDriverWait(browser, PATIENCE_S).until(
                lambda it: script(it, "return !!document.activeElement.querySelector('table')")
            )
        if len(reached) == summaries:
            break
    assert len(reached) == summaries == 7


def test_only_the_chosen_trials_are_drawn(browser: Browser, page: Path) -> None:
    visit(browser, page, DESKTOP)
    lines = "return document.querySelectorAll('.panels .trace.scatter').length"
    panels = len(browser.find_elements(By.CSS_SELECTOR, ".panels .chart"))
    assert script(browser, lines) == panels
    told = browser.find_element(By.ID, "told")
    first = told.text
    browser.find_element(By.ID, "next").click()
    assert told.text != first
    browser.find_element(By.ID, "beside").send_keys(Keys.END)
    assert script(browser, lines) == 2 * panels


def test_the_numbers_of_the_trial_beside_stand_below_those_of_the_chosen_one(
    browser: Browser, page: Path
) -> None:
    visit(browser, page, DESKTOP)
    browser.find_element(By.CSS_SELECTOR, "#values summary").click()
    cells = (
        "return [...document.querySelectorAll('#values tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    metrics = len(browser.find_elements(By.CSS_SELECTOR, ".panels .chart"))
    alone = WebDriverWait(browser, PATIENCE_S).until(lambda it: script(it, cells))
    assert len(alone) == 1 + metrics
    Select(browser.find_element(By.ID, "beside")).select_by_value("t04-s1")
    header, *rows = script(browser, cells)
    assert len(rows) == 2 * metrics
    first, second = rows[:2]
    assert [row[0].partition("\n")[0] for row in (first, second)] == [alone[1][0]] * 2
    names = [row[0].partition("\n")[2].split()[0] for row in (first, second)]
    assert names == ["t01-s0", "t04-s1"]
    assert first[1:] == alone[1][1:]
    stopped_at = 500
    assert [value == "–" for value in second[1:]] == [int(step) > stopped_at for step in header[1:]]


def test_dark_and_print_have_colours_of_their_own(browser: Browser, page: Path) -> None:
    ground = "return getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
    visit(browser, page, DESKTOP, dark=True)
    dark = script(browser, ground)
    script(browser, "dispatchEvent(new Event('beforeprint'))")
    printed = script(browser, ground)
    script(browser, "dispatchEvent(new Event('afterprint'))")
    assert script(browser, ground) == dark != printed
    visit(browser, page, DESKTOP)
    assert script(browser, ground) == printed


def test_paper_holds_every_trial_with_the_evidence_of_its_verdict(
    browser: Browser, page: Path
) -> None:
    rows = (
        "[...document.querySelectorAll('tbody tr')].filter((row) => row.checkVisibility()).length"
    )
    visit(browser, page, DESKTOP)
    of_settings = script(browser, f"return {rows}")
    assert of_settings == 4, "tables of figures are closed, and so is that of all trials"
    on_paper = sum(b"/S /TR\n" in each for each in printed(browser).values())
    trials, headers = 12, 2
    assert on_paper == of_settings + 2 * trials + headers
    assert script(browser, f"return {rows}") == of_settings, "the page is as it was before"


def test_no_chart_is_cut_in_two_between_printed_pages(browser: Browser, page: Path) -> None:
    visit(browser, page, DESKTOP)
    shown = script(browser, "return document.querySelectorAll('.chart[data-drawn]').length")
    charts = pages_of_charts(printed(browser))
    assert len(charts) == shown > 10
    assert {len(pages) for pages in charts} == {1}
    assert len(set.union(*charts)) > 3, "so few pages cut nothing"
