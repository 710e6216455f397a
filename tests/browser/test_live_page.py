"""The live example in a real browser: two visitors, a restart, and what a page can see of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import ROOT, TIMEOUT, ServerProcess

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402 - only where there is one
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="Chromium and ChromeDriver are not installed (Debian: chromium, chromium-driver)",
    ),
    pytest.mark.timeout(12 * TIMEOUT),
]

FLAGS = (
    "--headless",
    "--no-sandbox",  # it may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

LIVE = ("examples.live:app", "--timeout-graceful-shutdown", "500ms")  # event streams are cut short


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def visit(browser: Any, url: str) -> str:
    """Open the page in a tab of its own; returns the tab."""
    browser.switch_to.new_window("tab")
    browser.get(url)
    return browser.current_window_handle


def wait_for(browser: Any, element: str, text: str) -> None:
    """Wait until an element of the page says ``text``."""
    last = []

    def says(driver: Any) -> bool:
        last[:] = [driver.find_element(By.ID, element).text]
        return last[0] == text

    WebDriverWait(browser, TIMEOUT, 0.05).until(says, f"{element} should say {text!r}: {last}")


def write(browser: Any, line: str) -> None:
    """Write a line as a visitor does."""
    field = browser.find_element(By.ID, "line")
    field.send_keys(line)
    field.submit()


def test_two_visitors_read_each_other_and_survive_a_restart(browser: Any) -> None:
    with ServerProcess(*LIVE, cwd=ROOT) as server:
        url = server.wait_listening()
        one = visit(browser, url)
        wait_for(browser, "socket", "open")
        wait_for(browser, "present", "1")
        write(browser, "first <b>line</b>")
        wait_for(browser, "lines", "first <b>line</b>")
        wait_for(browser, "count", "1")

        two = visit(browser, url)
        wait_for(browser, "lines", "first <b>line</b>")  # what was said before
        wait_for(browser, "present", "2")
        write(browser, "zweite Zeile, müßig 𝄞")
        both = "first <b>line</b>\nzweite Zeile, müßig 𝄞"
        for tab in (two, one):
            browser.switch_to.window(tab)
            wait_for(browser, "lines", both)
            wait_for(browser, "count", "2")
            wait_for(browser, "present", "2")

        browser.switch_to.window(two)
        browser.close()
        browser.switch_to.window(one)
        wait_for(browser, "present", "1")
        assert server.stop() == 0
        wait_for(browser, "socket", "closed (1012)")
    assert "Traceback" not in server.stderr

    port = url.rpartition(":")[2]
    again = ServerProcess(*LIVE, "--port", port, cwd=ROOT, port=False)
    with again as server:
        server.wait_listening()
        wait_for(browser, "socket", "open")
        wait_for(browser, "present", "1")
        write(browser, "after the restart")
        wait_for(browser, "lines", "after the restart")
        browser.quit()
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_the_browser_agrees_on_compression_and_large_messages(browser: Any) -> None:
    with ServerProcess("examples.bare:app", cwd=ROOT) as server:
        url = server.wait_listening()
        browser.get(url)
        browser.set_script_timeout(TIMEOUT)
        script = """
            const [url, done] = arguments;
            const socket = new WebSocket(url);
            socket.binaryType = "arraybuffer";
            const large = "Grüße, ".repeat(100000);
            const got = [];
            socket.onopen = () => {
              socket.send("text"); socket.send(new Uint8Array([0, 255])); socket.send(large);
            };
            socket.onmessage = (event) => {
              got.push(typeof event.data === "string"
                ? (event.data === large ? "large" : event.data)
                : Array.from(new Uint8Array(event.data)).join());
              if (got.length === 3) socket.close(4000, "enough");
            };
            socket.onclose = (event) =>
              done([socket.extensions, got, event.code, event.reason, event.wasClean]);
        """
        result = browser.execute_async_script(script, url.replace("http", "ws"))
        extensions, got, *end = result
        assert extensions.startswith("permessage-deflate")
        assert got == ["text", "0,255", "large"]
        assert end == [4000, "enough", True]
        assert server.stop() == 0
