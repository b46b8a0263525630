"""The page of an embedding map in a browser, as a person meets it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipelines.headless_browser import Browser
from poise.reports.embedding_map import render_map
from tests.integration.test_report_page import (
    DESKTOP,
    PHONE,
    browser,
    pytestmark,
    requested,
    script,
    visit,
)
from tests.reports.embedding_map.test_page import invented_map

__all__ = ["browser", "pytestmark"]  # a fixture, and the marks of tests that need a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(render_map(invented_map()), encoding="utf-8")
    yield path


def chosen(browser: Browser) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, "#chosen h3").text)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_map_is_drawn_without_a_complaint_and_without_asking_any_host(
    browser: Browser, page: Path, size: tuple[int, int]
) -> None:
    browser.get_log("browser"), browser.get_log("performance")
    visit(browser, page, size)
    assert script(browser, "return document.querySelectorAll('#plot .point').length") == 13
    assert browser.get_log("browser") == []
    asked = requested(browser)
    assert {url for url in asked if not url.startswith(("file:", "data:"))} == set()
    wide, screen = script(browser, "return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= screen


def test_the_pointer_shows_an_image_and_a_click_its_nearest_images(
    browser: Browser, page: Path
) -> None:
    visit(browser, page, DESKTOP)
    assert chosen(browser) == "image 0: cat"
    point = browser.find_elements(By.CSS_SELECTOR, "#plot .scatterlayer .trace .point")[-1]
    ActionChains(browser).move_to_element(point).pause(0.5).perform()
    tip = browser.find_element(By.ID, "tip")
    assert tip.is_displayed() and "<b>ship</b> · image 77" in tip.text
    ActionChains(browser).click().perform()
    assert chosen(browser) == "image 77: <b>ship</b>"
    nearest = browser.find_elements(By.CSS_SELECTOR, "#chosen li button")
    assert len(nearest) == 10
    signs = {each.text[0]: each.get_attribute("class") for each in nearest}
    assert signs == {"✓": "same", "✗": "other"}


def test_the_keyboard_reaches_any_image_and_walks_on_through_its_neighbours(
    browser: Browser, page: Path
) -> None:
    visit(browser, page, DESKTOP)
    field = browser.find_element(By.ID, "sample")
    field.clear()
    field.send_keys("35", Keys.ENTER)
    assert chosen(browser) == "image 35: <b>ship</b>"
    first = browser.find_element(By.CSS_SELECTOR, "#chosen li button")
    first.send_keys(Keys.ENTER)
    assert chosen(browser) != "image 35: <b>ship</b>"
    field.clear()
    field.send_keys("36", Keys.ENTER)
    assert "not in the map" in browser.find_element(By.ID, "unknown").text


def test_another_projection_is_one_click_away(browser: Browser, page: Path) -> None:
    visit(browser, page, DESKTOP)
    caption = browser.find_element(By.ID, "caption")
    assert caption.text.startswith("t-SNE keeps something. Trustworthiness 0.90")
    browser.find_element(By.CSS_SELECTOR, "#projections input").click()
    assert caption.text.startswith("PCA keeps something.")
