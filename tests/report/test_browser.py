"""The page in a browser, where one is: the scrubber moves everything, by keyboard, without an error."""

import os
import shutil

import pytest
from reported import reported

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on the PATH, nor named by the variable CHROMIUM")
@pytest.mark.slow
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_scrubber_moves_everything(tmp_path, kind, width, colours):
    path = tmp_path / "report.html"
    path.write_text(reported(kind), encoding="utf-8")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
        wrong = []
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.goto(path.as_uri())
        cells = tab.locator("#layers td").first
        last = cells.inner_text()
        tab.locator("#epoch").focus()
        tab.keyboard.press("Home")
        assert tab.locator("#told").inner_text().startswith("epoch 0: ")
        assert cells.inner_text() != last
        tab.keyboard.press("ArrowRight")
        assert tab.locator("#told").inner_text().startswith("epoch 1: ")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert wrong == []
