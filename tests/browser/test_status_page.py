"""The status page in a real browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("prometheus_client")
live = pytest.importorskip("test_live_page")

from selenium.webdriver.common.by import By  # noqa: E402 - only where there is one
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from tests.support import TIMEOUT, ServerProcess  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = live.pytestmark
browser = live.browser

NASTY = "/%3Cimg%20src=x%20onerror=alert(1)%3E"


def text_of(browser: Any, element: str) -> str:
    return str(browser.find_element(By.ID, element).text)


def test_the_page_shows_the_service_live_asks_for_a_token_and_escapes(
    browser: Any, tmp_path: Path
) -> None:
    (tmp_path / "shown.py").write_text(
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "        await send({'type': 'http.response.body', 'body': b'x'})\n"
    )
    arguments = ("shown:app", "--admin-bind", "127.0.0.1:0", "--admin-token", "secret")
    with ServerProcess(*arguments, "--workers", "2", cwd=tmp_path) as process:
        admin = process.wait_for(r"Admin listener on (http://\S+)")[1]
        url = process.wait_listening()
        with urlopen(url + NASTY):
            pass
        live.visit(browser, f"{admin}/status")
        wait = WebDriverWait(browser, 2 * TIMEOUT, 0.1)
        wait.until(lambda _: text_of(browser, "state") == "token needed")
        assert browser.find_element(By.ID, "token").is_displayed()
        browser.find_element(By.ID, "token").send_keys("secret")
        browser.find_element(By.ID, "enter").click()
        wait.until(lambda _: text_of(browser, "state") == "ready")
        wait.until(lambda _: "<img src=x onerror=alert(1)>" in text_of(browser, "slowest"))
        assert browser.find_elements(By.CSS_SELECTOR, "#slowest img") == []
        assert not browser.find_element(By.ID, "gate").is_displayed()
        assert len(browser.find_elements(By.CSS_SELECTOR, "#workers tr")) == 2
        drawn = "return document.getElementById('rate-line').getAttribute('points')"
        wait.until(lambda _: str(browser.execute_script(drawn)).count(",") > 2)
        asked = Request(f"{admin}/status.json", headers={"Authorization": "Bearer secret"})
        with urlopen(asked) as answer:
            assert json.load(answer)["ready"] is True
        back = "return getComputedStyle(document.body).backgroundColor"
        colours = []
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            colours.append(browser.execute_script(back))
        assert colours[0] != colours[1]
        # Without the token the listener says 401, and the browser says so; nothing else is amiss.
        severe = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
        log = [each["message"] for each in severe]
        assert [each for each in log if "401" not in each] == []
        browser.save_screenshot(str(tmp_path / "status.png"))
        assert process.stop() == 0
