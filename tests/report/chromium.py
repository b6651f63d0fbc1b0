"""A headless Chromium that opens a page from disk, and what it asked for meanwhile."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
)
# What a page may ask for: itself, and what it holds.
OWN = ("file:", "data:", "blob:")


def start(profile: Path, width=1280, height=800):
    """Start a browser of the size of a laptop's screen; skip where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program, driver = next(filter(None, programs), None), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    browser = webdriver.Chrome(options=options, service=service)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser


class Page:
    """A page in the browser."""

    def __init__(self, browser, path: Path) -> None:
        self.browser = browser
        browser.get("about:blank")
        for log in ("performance", "browser"):
            browser.get_log(log)
        browser.get(Path(path).resolve().as_uri())
        self.wait(lambda: self.run("return document.body.dataset.ready"))

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def wait(self, holds, seconds=30):
        """Wait until something holds; return it."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)
        return found

    def locus(self) -> str:
        """What the genome browser shows, in its own words."""
        return self.run("return view.browser.referenceFrameList[0].getLocusString()")

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What stands in the console."""
        return [
            entry["message"]
            for entry in self.browser.get_log("browser")
            if entry["level"] != "INFO"
        ]

    def pixels(self):
        """What is on the screen, uint8 (y, x, 3)."""
        from matplotlib.image import imread

        image = imread(io.BytesIO(self.browser.get_screenshot_as_png()), format="png")
        return np.round(image[..., :3] * 255).astype(np.uint8)

    def track(self, name) -> dict:
        """Where a track of the genome browser is on the screen, in pixels, and its scale."""
        return self.run(
            """
            const views = view.browser.trackViews;
            const {track, viewports: [port]} = views.find(({track}) => track.name === arguments[0]);
            const {left, top, width, height} = port.viewportElement.getBoundingClientRect();
            const {start, bpPerPixel} = port.referenceFrame;
            return {left, top, width, height, start, bpPerPixel, ...track.dataRange};
            """,
            name,
        )
