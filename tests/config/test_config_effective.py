"""The effective settings are valid TOML that gives the same settings when read back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from katana_asgi.config.effective import as_toml, to_toml
from katana_asgi.config.model import SETTINGS, Config, StaticRoute
from katana_asgi.config.reference import settings_page
from katana_asgi.config.sources import load
from katana_asgi.config.switching import switching_page
from katana_asgi.config.toml_file import open_config_file

ROOT = Path(__file__).parent.parent.parent


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing: settings never call it."""


def test_defaults_read_back_as_the_same_settings(place: Path) -> None:
    (place / "printed.toml").write_text(as_toml(Config(), {}))
    assert load({}, "printed.toml").config == Config()


@pytest.mark.parametrize("listen", [{"host": "::1"}, {"uds": "/run/a.sock"}, {"fd": 3}])
def test_what_was_given_reads_back_as_the_same_settings(
    place: Path, listen: dict[str, Any]
) -> None:
    (place / "page.html").write_bytes(b"\xff")
    given = Config(
        app="main:app",
        workers=3,
        root_path='/"quoted"\\',
        timeout_keep_alive=0.25,
        limit_body_size=10_000_000,
        date_header=False,
        use_colors=True,
        header=[("X-A", "b: c"), ("X-A", "é\t")],  # type: ignore[arg-type] # a list will do
        static_file_route=(("/p", "page.html"),),
        static_route=(
            StaticRoute("/healthz", 'o"k\x7f\n'),
            StaticRoute("/bytes", "é".encode()),
            StaticRoute(
                "/all",
                "{}",
                status=201,
                headers=(("A", "b"), ("C", "d")),
                methods=("GET", "POST"),
                content_type="application/json",
                exclusive=True,
            ),
            StaticRoute("/file", b"\xff", content_type="text/html", file="page.html"),
        ),
        **listen,
    )
    (place / "printed.toml").write_text(as_toml(given, {}), "utf-8")
    expected = list(given.static_route)
    expected[1] = StaticRoute("/bytes", "é")
    assert load({}, "printed.toml").config == given.replace(static_route=expected)


def test_each_line_says_where_the_value_came_from(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "a\tb.toml").write_text("backlog = 5")
    monkeypatch.setenv("KATANA_DATE_HEADER", "off")
    loaded = load({"port": ["80"], "static_route": ["/a=b"]}, "a\tb.toml")
    lines = as_toml(loaded.config, loaded.origins).splitlines()
    assert "port = 80  # flag --port" in lines
    assert "date-header = false  # variable KATANA_DATE_HEADER" in lines
    assert "backlog = 5  # file a?b.toml key backlog" in lines
    assert 'host = "127.0.0.1"  # default' in lines
    assert "# uds is not set" in lines
    assert "[static-routes]  # flag --static-route" in lines
    assert tomllib.loads("\n".join(lines))["static-routes"] == {"/a": "b"}


def test_a_place_that_is_not_used_is_only_a_comment() -> None:
    assert "# host is not used" in as_toml(Config(uds="/x"), {}).splitlines()


def test_what_toml_cannot_hold_is_only_a_comment() -> None:
    lines = as_toml(Config(app=application, static_route=(StaticRoute("/a", b"\xff"),)), {})
    assert "# app is an object" in lines
    assert '# "/a" answers with 1 bytes' in lines


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_reads_back_from_toml(place: Path, text: str) -> None:
    line = to_toml(SETTINGS["root_path"], text)
    assert tomllib.loads(f"a = {line}") == {"a": text}


def test_the_page_for_those_who_switch_is_not_stale() -> None:
    page = (ROOT / "docs/switching.md").read_text("utf-8")
    assert page == switching_page(), "run: python -m katana_asgi.config.switching > the page"


def test_the_reference_page_is_not_stale() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    assert page == settings_page(), "run: python -m katana_asgi.config.reference > the page"


def test_the_example_of_the_reference_page_works(place: Path) -> None:
    (place / "public").mkdir()
    (place / "public/robots.txt").touch()
    example = settings_page().partition("```toml\n")[2].partition("```")[0]
    (place / "katana.toml").write_text(example)
    file = open_config_file("katana.toml")
    assert file is not None
    routes = file.settings(early=False).values["static_route"]
    assert isinstance(routes, tuple)
    assert [route.path for route in routes] == ["/healthz", "/robots.txt", "/hello/{name}", "/old"]
