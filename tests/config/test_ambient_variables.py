"""Variables that others set neither stop a start nor pass unnoticed (C1, E2, F7, G11)."""

from __future__ import annotations

import os

import pytest

from katana_asgi.config.sources import load
from katana_asgi.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("place")

LINKS = {
    "KATANA_PORT": "tcp://10.0.0.1:80",
    "KATANA_PORT_80_TCP": "tcp://10.0.0.1:80",
    "KATANA_PORT_80_TCP_ADDR": "10.0.0.1",
    "KATANA_PORT_80_TCP_PORT": "80",
    "KATANA_PORT_80_TCP_PROTO": "tcp",
    "KATANA_SERVICE_HOST": "10.0.0.1",
    "KATANA_SERVICE_PORT": "80",
    "KATANA_SERVICE_PORT_HTTP": "80",
    "KATANA_REDIRECT_PORT": "tcp://10.0.0.2:443",
    "KATANA_WEB_SERVICE_HOST": "10.0.0.3",
}
"""What Kubernetes sets for services named katana, katana-redirect and katana-web."""


def notes(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], **flags: list[str]) -> list:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    return list(load(flags).config.notes)


def test_service_links_of_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    (note,) = notes(monkeypatch, LINKS)
    assert note.startswith(
        "Kubernetes service links are not settings and were ignored: KATANA_PORT"
    )
    assert note.endswith(" and 5 more")
    assert load({}).config.port == 8000
    assert load({}).config.redirect_port == 0


def test_variables_of_other_programs_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"KATANA_API_KEY": "x", "KATANA_BASE_URL": "y", "KATANA_HOME": "/z"}
    assert notes(monkeypatch, variables) == [
        "variables that are not settings were ignored: KATANA_API_KEY, KATANA_BASE_URL, KATANA_HOME"
    ]


def test_a_misspelt_setting_is_named_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes(monkeypatch, {"KATANA_PROT": "1", "KATANA_WROKERS": "2"}) == [
        "variable KATANA_PROT is not a setting and was ignored; did you mean KATANA_PORT?",
        "variable KATANA_WROKERS is not a setting and was ignored; did you mean KATANA_WORKERS?",
    ]


def test_a_name_that_is_ours_has_to_have_a_value_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_PORT", "http")
    with pytest.raises(ConfigurationError, match="variable KATANA_PORT: 'http' is not allowed"):
        load({})


def test_a_name_cannot_fool_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_\x1b[31m\n", "x")
    (note,) = load({}).config.notes
    assert note.isprintable()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"UVICORN_HOST": "0.0.0.0", "UVICORN_PORT": "80"},
            "variables of uvicorn are not read: UVICORN_HOST, UVICORN_PORT; "
            "use KATANA_HOST, KATANA_PORT",
        ),
        (
            {"GUNICORN_CMD_ARGS": "-w 4"},
            "variables of gunicorn are not read: GUNICORN_CMD_ARGS",
        ),
        (
            {"GRANIAN_WORKERS": "4"},
            "variables of granian are not read: GRANIAN_WORKERS; use KATANA_WORKERS",
        ),
    ],
)
def test_variables_of_other_servers_are_named_in_one_line(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notes(monkeypatch, variables) == [expected]


# -- PORT


def test_a_platforms_port_means_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    config = load({}).config
    assert (config.host, config.port, config.port_variable) == ("0.0.0.0", 8080, "PORT")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"port": ["9000"]}, ("127.0.0.1", 9000, "")),
        ({"host": ["::1"]}, ("::1", 8080, "PORT")),
        ({"bind": ["127.0.0.1:1"]}, ("127.0.0.1", 8000, "")),
        ({"uds": ["/tmp/x"]}, ("127.0.0.1", 8000, "")),
    ],
)
def test_an_address_of_our_own_wins_over_a_platforms_port(
    flags: dict, expected: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "8080")
    config = load(flags).config
    assert (config.host, config.port, config.port_variable) == expected


def test_a_port_of_kubernetes_is_none_of_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "tcp://10.0.0.1:80")
    assert load({}).config.port == 8000
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(ConfigurationError, match="variable PORT: 'http' is not allowed"):
        load({})


# -- sockets of systemd


def test_sockets_that_are_passed_and_not_used_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    (note,) = load({}).config.notes
    assert note == "LISTEN_FDS: 1 socket was passed but not used; use --bind systemd"
    assert load({"bind": ["systemd"]}).config.notes == ()
    monkeypatch.setenv("LISTEN_PID", "1")
    assert load({}).config.notes == ()
