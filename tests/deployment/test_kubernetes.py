"""The manifests of examples/deployment fit together, and a rolling update loses nothing."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
from pods import CONTAINER, MANIFESTS, POD, SETTINGS, Pod, Service

from katana_asgi.config.sources import load
from katana_asgi.worker.drain import UNWIND
from tests.support import TIMEOUT


@pytest.fixture
def config(tmp_path):
    (tmp_path / "katana.toml").write_text(SETTINGS)
    return load({}, str(tmp_path / "katana.toml")).config


def test_names_lead_to_each_other():
    deployment, service = MANIFESTS["Deployment"]["spec"], MANIFESTS["Service"]["spec"]
    assert deployment["selector"]["matchLabels"].items() <= POD["metadata"]["labels"].items()
    assert service["selector"].items() <= POD["metadata"]["labels"].items()
    (mount,), (volume,) = CONTAINER["volumeMounts"], POD["spec"]["volumes"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] == MANIFESTS["ConfigMap"]["metadata"]["name"]
    (file,) = MANIFESTS["ConfigMap"]["data"]
    assert CONTAINER["command"][1:] == ["--config", f"{mount['mountPath']}/{file}"]


def test_what_is_probed_and_served_is_what_the_settings_open(config):
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == config.port
    assert config.host in ("", "::", "0.0.0.0")
    assert [each["targetPort"] for each in MANIFESTS["Service"]["spec"]["ports"]] == [port["name"]]
    routes = {route.path: route for route in config.static_route}
    for name, ready in {"startup": False, "readiness": True, "liveness": False}.items():
        wanted = CONTAINER[f"{name}Probe"]["httpGet"]
        assert wanted["port"] == port["name"]
        assert routes[wanted["path"]].ready is ready


def test_every_budget_fits_into_the_one_above(config):
    readiness = CONTAINER["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < config.shutdown_delay
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    budgets = pause + config.shutdown_delay + config.timeout_graceful_shutdown + UNWIND
    budgets += config.timeout_lifespan_shutdown
    assert POD["spec"]["terminationGracePeriodSeconds"] > budgets


def test_a_rolling_update_fails_no_request(tmp_path):
    with Pod(tmp_path / "old") as old, ExitStack() as later:
        old.wait_for("startupProbe", True)
        assert old.probe("readinessProbe")
        kept = later.enter_context(closing(HTTPConnection("127.0.0.1", old.port, timeout=TIMEOUT)))
        kept.request("GET", "/")
        leaving = json.loads(kept.getresponse().read())["pid"]
        with Service(old.port) as service:
            service.wait_for(100)
            new = later.enter_context(Pod(tmp_path / "new"))
            new.wait_for("startupProbe", True)
            new.wait_for("readinessProbe", True)
            service.route_to(old.port, new.port)
            old.begin_to_terminate("0.5")
            old.wait_for("readinessProbe", False)
            assert old.probe("livenessProbe")
            kept.request("GET", "/")
            response = kept.getresponse()
            assert json.loads(response.read())["pid"] == leaving
            assert response.getheader("Connection") == "close"
            service.wait_for(100)  # new connections still come to it
            assert old.process.process.poll() is None
            service.route_to(new.port)
            assert old.wait_until_gone() == 0
            service.wait_for(100)
    assert service.failures == []
    assert len({json.loads(body)["pid"] for body in service.bodies}) == 2
