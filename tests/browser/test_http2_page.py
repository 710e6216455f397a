"""A real browser over TLS speaks HTTP/2, and WebSocket over HTTP/2 (RFC 8441)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.support import ROOT, TIMEOUT, ServerProcess

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402 - only where there is one
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "--ignore-certificate-errors",
    "--no-first-run",
    "--disable-background-networking",
)

APPLICATION = '''
PAGE = b"""<!doctype html><title>page</title><ul id=said></ul><p id=count></p>
<script>
  const said = (text) => document.getElementById("said").innerHTML += `<li>${text}</li>`;
  const socket = new WebSocket(`wss://${location.host}/socket`, ["chat"]);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({data}) => { said(data); if (data === "hello") socket.close(1000, "done"); };
  socket.onclose = ({code, wasClean}) => said(`closed ${code} ${wasClean}`);
  Promise.all([...Array(40).keys()].map((n) => fetch(`/item?${n}`).then((r) => r.text())))
    .then((all) => document.getElementById("count").textContent =
      all.filter((text) => text === "2").length);
</script>"""


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    version = scope["http_version"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "chat"})
        await send({"type": "websocket.send", "text": f"over {version}"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body = PAGE if scope["path"] == "/" else version.encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
'''


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def test_a_page_its_requests_and_its_websocket_share_http_2(browser, tmp_path):
    certificate = tmp_path / "site.pem"
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    (tmp_path / "paged.py").write_text(APPLICATION)
    arguments = ("paged:app", "--app-dir", str(tmp_path), "--ssl-certfile", str(certificate))
    with ServerProcess(*arguments, "--lifespan", "off", cwd=ROOT) as server:
        port = server.wait_listening().rpartition(":")[2]
        browser.get(f"https://localhost:{port}/")

        def text(element: str) -> str:
            return str(browser.find_element(By.ID, element).text)

        WebDriverWait(browser, TIMEOUT, 0.05).until(lambda _: "closed" in text("said"))
        assert text("said").split("\n") == ["over 2", "hello", "closed 1000 true"]
        WebDriverWait(browser, TIMEOUT, 0.05).until(lambda _: text("count"))
        assert text("count") == "40"
        assert server.stop() == 0
        assert '"GET / HTTP/2.0" 200' in server.stdout
        assert server.stdout.count("WebSocket /socket HTTP/2.0") == 1
