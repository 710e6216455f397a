"""Media types come from the server's own table."""

from __future__ import annotations

import mimetypes

import pytest

from katana_asgi.config.media_types import compresses_well, media_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("APP.JS", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("app.js.map", "application/json"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("a.css.br", "application/octet-stream"),
        ("README", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_the_type_that_a_name_suggests(name: str, expected: str) -> None:
    assert media_type_of(name) == expected


def test_the_table_of_the_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mimetypes.types_map, ".css", "text/x-machine")
    mimetypes.add_type("text/x-machine", ".css")
    assert media_type_of("a.css") == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    ("content_type", "well"),
    [
        ("text/plain", True),
        ("Text/HTML; charset=utf-8", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/octet-stream", False),
        ("image/png", False),
        ("application/zip", False),
        ("", False),
    ],
)
def test_what_is_worth_compressing(content_type: str, well: bool) -> None:
    assert compresses_well(content_type) is well
