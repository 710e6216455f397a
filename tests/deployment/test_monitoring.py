"""Scrape configuration, alerts and dashboard, with the metrics of a real service."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from balanced import program

from tests.ports import free_port
from tests.support import ROOT, TIMEOUT, ServerProcess, unverified

metrics_parser = pytest.importorskip("prometheus_client.parser")
trustme = pytest.importorskip("trustme")
yaml = pytest.importorskip("yaml")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MONITORING = ROOT / "examples" / "monitoring"
PAGE = ROOT / "docs" / "reference" / "metrics.md"
DASHBOARD = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))

VARIABLES = {"$job": "katana-asgi", "$instance": ".*", "$__rate_interval": "15s", "$__range": "1m"}

APPLICATION = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})
"""


class Service:
    """katana-asgi with everything that a metric tells of."""

    def __init__(self, process: ServerProcess) -> None:
        self.admin = "http://" + process.wait_for(r"Admin listener on http://(\S+)")[1]
        self.url = process.wait_listening().rstrip("/")
        self.context = unverified()
        eventually(self.is_ready, True)

    def is_ready(self) -> bool:
        """Whether the admin listener says that all workers serve."""
        with suppress(OSError), urlopen(f"{self.admin}/readyz", timeout=TIMEOUT) as response:
            return bool(response.status == 200)
        return False

    def load(self) -> None:
        """Requests of every kind: whole, static, too many, and no request at all."""
        for path in ("/", "/static"):
            with urlopen(self.url + path, timeout=TIMEOUT, context=self.context) as response:
                response.read()
        host, port = self.url.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port)), TIMEOUT) as plain:
            with self.context.wrap_socket(plain, server_hostname=host) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                connection.recv(1000)

    def families(self) -> dict[str, set[str]]:
        """Names of samples, without those of buckets, and their labels."""
        with urlopen(f"{self.admin}/metrics", timeout=TIMEOUT) as response:
            text = response.read().decode()
        found: dict[str, set[str]] = {}
        for family in metrics_parser.text_string_to_metric_families(text):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels}
            found[name] = labels
        return found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    certificate = tmp_path / "both.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    (tmp_path / "monitored.py").write_text(APPLICATION)
    options = ("--workers", "2", "--static-route", "/static=x", "--metrics-routes", "/")
    options += ("--no-access-log", "--admin-bind", "127.0.0.1:0", "--ssl-certfile", certificate)
    with ServerProcess("monitored:app", *map(str, options), cwd=tmp_path) as process:
        yield Service(process)


def expressions() -> list[str]:
    """What the panels of the dashboard ask for."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def alerts() -> list[str]:
    return [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def eventually(found: Any, wanted: Any) -> Any:
    """Ask until the answer is the one that is wanted."""
    deadline = time.monotonic() + 6 * TIMEOUT
    while (value := found()) != wanted:
        assert time.monotonic() < deadline, value
        time.sleep(0.1)
    return value


def test_the_page_on_metrics_lists_what_there_is(service: Service) -> None:
    service.load()
    rows = re.findall(r"^\| `(katana_asgi_\w+)` \| \w+ \| (.*?) ?\| ", PAGE.read_text(), re.M)
    listed = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    reason = {"katana_asgi_rejections_total"}  # published a second later
    eventually(
        lambda: {n: ls for n, ls in service.families().items() if ls or n not in reason}, listed
    )


def test_dashboard_and_alerts_name_only_metrics_that_there_are(service: Service) -> None:
    there = set(service.families())
    for expression in (*expressions(), *alerts()):
        named = {
            re.sub(r"_bucket$", "", name) for name in re.findall(r"katana_asgi_\w+", expression)
        }
        assert named <= there, expression


def test_promtool_takes_configuration_and_rules() -> None:
    promtool = program("promtool")
    command = [promtool, "check", "config", str(MONITORING / "prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts())} rules found" in checked.stdout


def test_promtool_finds_nothing_in_the_metrics(service: Service) -> None:
    promtool = program("promtool")
    service.load()
    with urlopen(f"{service.admin}/metrics", timeout=TIMEOUT) as response:
        text = response.read()
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = sorted(
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert all(one != other for one, other in pairwise(cells))
    assert max(x for x, _ in cells) < 24


class Prometheus:
    """A Prometheus that scrapes one service twice a second."""

    def __init__(self, url: str) -> None:
        self._url = url
        eventually(self._is_ready, True)

    def _is_ready(self) -> bool:
        """It listens before it answers queries."""
        with suppress(OSError), urlopen(f"{self._url}/-/ready", timeout=TIMEOUT) as response:
            return bool(response.status == 200)
        return False

    def query(self, expression: str) -> list[Any]:
        question = urlencode({"query": expression})
        try:
            with urlopen(f"{self._url}/api/v1/query?{question}", timeout=TIMEOUT) as response:
                result: list[Any] = json.load(response)["data"]["result"]
        except HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        except URLError:
            return []
        return result


@contextmanager
def scraping(service: Service, tmp_path: Path) -> Iterator[Prometheus]:
    text = (MONITORING / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9100", service.admin.removeprefix("http://"))
    text = text.replace("scrape_interval: 15s", "scrape_interval: 500ms\n  scrape_timeout: 450ms")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "alerts.yml").write_text((MONITORING / "alerts.yml").read_text())
    address = f"127.0.0.1:{free_port()}"
    files = (f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data")
    with (tmp_path / "log").open("w") as log:
        command = [program("prometheus"), *files, f"--web.listen-address={address}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Prometheus(f"http://{address}")
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(12 * TIMEOUT)
def test_every_panel_has_data_and_every_alert_can_be_evaluated(
    service: Service, tmp_path: Path
) -> None:
    with scraping(service, tmp_path) as prometheus:

        def empty() -> list[str]:
            with suppress(URLError):
                service.load()
            asked = []
            for expression in expressions():
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                asked.append(expression)
            return [expression for expression in asked if not prometheus.query(expression)]

        eventually(empty, [])
        assert prometheus.query('up{job="katana-asgi"}')[0]["value"][1] == "1"
        assert prometheus.query("ALERTS{alertname='KatanaDown'}") == []
        for alert in alerts():
            prometheus.query(alert)
