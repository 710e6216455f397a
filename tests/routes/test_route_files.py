"""Static routes from files, and the table of a whole configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from route_requests import answered, get, values

from katana_asgi.config.media_types import media_type_of
from katana_asgi.config.model import Config, StaticRoute
from katana_asgi.errors import ConfigurationError
from katana_asgi.routes.table import RouteTable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("robots.txt", "text/plain; charset=utf-8"),
        ("a/index.html", "text/html; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.txt.gz", "application/gzip"),
        ("a.tar.bz2", "application/x-bzip2"),
        ("a", "application/octet-stream"),
        ("a.no-such-type", "application/octet-stream"),
    ],
)
def test_the_name_of_a_file_tells_its_type(name: str, content_type: str) -> None:
    assert media_type_of(name) == content_type


def test_a_configuration_gives_its_routes_and_its_files(tmp_path: Path) -> None:
    file = tmp_path / "robots.txt"
    file.write_bytes(b"User-agent: *\n")
    config = Config(
        app="main:app",
        static_route=(StaticRoute(path="/healthz", body="ok"),),
        static_file_route=(("/robots.txt", str(file)),),
    )
    routes = RouteTable.from_config(config)
    assert len(routes) == 2
    assert answered(routes, get(b"/healthz")).content == b"ok"
    file.write_bytes(b"changed")
    response = answered(routes, get(b"/robots.txt"))
    assert response.content == b"User-agent: *\n"  # read once
    assert values(response, b"content-type") == [b"text/plain; charset=utf-8"]


def test_a_file_can_have_a_placeholder(tmp_path: Path) -> None:
    file = tmp_path / "hello.html"
    file.write_text("<p>{name}</p>")
    config = Config(app="main:app", static_file_route=(("/hello/{name}", str(file)),))
    response = answered(RouteTable.from_config(config), get(b"/hello/%3Ci%3E"))
    assert response.content == b"<p>&lt;i&gt;</p>"


def test_a_configuration_without_routes_gives_an_empty_table() -> None:
    assert not RouteTable.from_config(Config(app="main:app"))


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "gone.txt"
    file.write_text("here when the configuration is made")
    config = Config(app="main:app", static_file_route=(("/a", str(file)),))
    file.unlink()
    with pytest.raises(ConfigurationError) as caught:
        RouteTable.from_config(config)
    assert str(caught.value) == (
        f"static route '/a': cannot read {str(file)!r}: No such file or directory"
    )
