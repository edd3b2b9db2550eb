"""A headless Chromium that is already here: nothing is downloaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
REQUIRED = "AVES_REQUIRE_BROWSER"


def _found(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


CHROMIUM = _found("chromium", "chromium-browser", "google-chrome")
DRIVER = _found("chromedriver")


def need() -> None:
    """Skip without a browser, or fail where one is required."""
    if CHROMIUM and DRIVER:
        return
    reason = "no chromium with chromedriver on the PATH: apt-get install chromium chromium-driver"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but there is {reason}")
    pytest.skip(reason)


@contextmanager
def opened(profile: Path) -> Iterator[Any]:
    """The browser; what it logs and requests is kept."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def look(driver: Any, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Set the window's size and what the reader prefers."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def visit(driver: Any, address: str) -> Any:
    """The browser on this page, nothing but it in its logs, with the window and the colours that it has at first."""
    look(driver)
    requests(driver)
    driver.get_log("browser")
    driver.get(address)
    return driver


def requests(driver: Any) -> list[str]:
    """The addresses asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
