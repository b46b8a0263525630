"""Chromium without a window, for the tests of pages and for the pictures of the documentation.

In: an address. Out: the page as a person meets it, and pictures of it. It needs ``chromium`` and
``chromedriver`` on the PATH.
"""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

Browser: TypeAlias = webdriver.Chrome

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IS_THERE = bool(CHROMIUM and DRIVER)
PATIENCE_S = 180
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@contextmanager
def headless_browser(profile: Path) -> Iterator[Browser]:
    """Starts a browser with an empty profile folder, and ends it after the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Browser(options=options, service=Service(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show_page(browser: Browser, address: str, size: tuple[int, int], dark: bool = False) -> None:
    """Opens a page in a window of width × height pixels, and scrolls until its charts are drawn."""
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(address)
    for chart in browser.find_elements(By.CLASS_NAME, "chart"):
        browser.execute_script("arguments[0].scrollIntoView()", chart)
        WebDriverWait(browser, PATIENCE_S).until(lambda _, c=chart: c.get_attribute("data-drawn"))


def wait_for_text(browser: Browser, *texts: str) -> None:
    """Waits until the page shows all of these texts."""

    def shown(_: Browser) -> bool:
        body = str(browser.find_element(By.TAG_NAME, "body").text)
        return all(text in body for text in texts)

    WebDriverWait(browser, PATIENCE_S).until(shown, f"no {texts} on the page")


def take_picture(browser: Browser, height: int, top: int = 0) -> bytes:
    """Takes a picture of the page, as wide as the window: a PNG file.

    Args:
        browser: the browser, with the page.
        height: height of the picture in pixels.
        top: distance of its upper edge from the top of the page, in pixels.
    """
    width = int(browser.execute_script("return innerWidth"))
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True}
    )
    return base64.b64decode(taken["data"])
