"""The demo page as a headless Chromium shows it, on a screen of a laptop or of a phone."""

import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
LAPTOP, PHONE = (1366, 768), (390, 844)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
CELLS = (  # one call for many boards: their cells as text
    "return [...document.querySelectorAll(arguments[0])]"
    ".map(b => [...b.children].map(c => c.value ?? (c.classList.contains('queen') ? '2' : c.textContent || '.')))"
)
PASTE = (
    "const data = new DataTransfer(); data.setData('text', arguments[1]);"
    "arguments[0].dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))"
)
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")


class Page:
    """A page in a browser, asked by CSS selectors."""

    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder

    def one(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def every(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def click(self, css, text):
        next(e for e in self.every(css) if text in e.text).click()

    def until(self, truth):
        WebDriverWait(self.driver, 60).until(lambda _: truth())

    def cells(self, css):
        return self.driver.execute_script(CELLS, css)

    def boards(self, css):
        return ["".join(cell or "." for cell in board) for board in self.cells(css)]

    def paste(self, css, text):
        self.driver.execute_script(PASTE, self.one(css), text)

    def resize(self, size):
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, is_dark):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def bottom(self, css):
        """Where an element ends, in pixels of the page below the top of the screen."""
        return self.driver.execute_script("return arguments[0].getBoundingClientRect().bottom", self.one(css))

    def picture(self, name):
        assert self.driver.save_screenshot(str(self.folder / f"{name}.png"))

    def solve(self):
        """Press Solve and wait for the outcome."""
        self.driver.execute_script("document.getElementById('status').textContent = ''")
        self.one("#solve").click()
        self.until(lambda: self.one("#status").text)

    def problems(self):
        """What the browser complains about, refusals of the server apart."""
        return [entry for entry in self.driver.get_log("browser") if "status of 400" not in entry["message"]]


@contextmanager
def browsing(folder):
    """A browser with a profile of its own in a folder.  Yields: its page."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.implicitly_wait(5)
    page = Page(driver, folder)
    try:
        page.resize(LAPTOP)
        yield page
    finally:
        driver.quit()
