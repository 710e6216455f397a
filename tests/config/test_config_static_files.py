"""Directories of files: from flags, variables, files and code, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import Config, StaticFiles
from katana_asgi.config.effective import as_toml
from katana_asgi.config.sources import load
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def dist(place: Path) -> Path:
    """A directory to serve, in an empty current directory."""
    (place / "dist").mkdir()
    (place / "other").mkdir()
    return place / "dist"


def test_a_flag_names_a_path_and_a_directory() -> None:
    config = load({"static_dir": ["/assets=dist", "/=other"]}).config
    assert config.static_dir == (StaticFiles("/assets", "dist"), StaticFiles("/", "other"))


def test_a_variable_has_one_in_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_STATIC_DIR", "/assets=dist\n/=other")
    assert [mount.path for mount in load({}).config.static_dir] == ["/assets", "/"]


WHOLE = """
[static-dirs]
"/" = "other"

[static-dirs."/assets"]
directory = "dist"
index = ["main.html", "index.html"]
fallback = "/main.html"
not-found = "/404.html"
listing = true
symlinks = "never"
dotfiles = true
precompressed = false
max-age = "5m"
immutable = true
nosniff = false

[static-dirs."/assets".cache-control]
"*.html" = "no-cache"

[static-dirs."/assets".headers]
Access-Control-Allow-Origin = "*"

[static-dirs."/assets".media-types]
wasm = "application/wasm"
"""

MOUNTS = (
    StaticFiles("/", "other"),
    StaticFiles(
        "/assets",
        "dist",
        index=("main.html", "index.html"),
        fallback="/main.html",
        not_found="/404.html",
        listing=True,
        symlinks="never",
        dotfiles=True,
        precompressed=False,
        max_age=300.0,
        immutable=True,
        cache_control=(("*.html", "no-cache"),),
        headers=(("Access-Control-Allow-Origin", "*"),),
        media_types=(("wasm", "application/wasm"),),
        nosniff=False,
    ),
)


def test_a_file_says_everything_and_what_is_printed_reads_back(place: Path) -> None:
    (place / "katana.toml").write_text(WHOLE)
    loaded = load({}, "katana.toml")
    assert loaded.config.static_dir == MOUNTS
    printed = as_toml(loaded.config, loaded.origins)
    assert "[static-dirs]  # file katana.toml key static-dirs" in printed
    (place / "printed.toml").write_text(printed)
    assert load({}, "printed.toml").config == loaded.config


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('"nowhere"', "'nowhere' is not a directory; use an existing directory"),
        ("5", "5 is not allowed; use text, the directory, or a table with a directory"),
        ("{ index = ['a'] }", "a table with the key directory"),
        ("{ directory = 5 }", "/a: directory: 5 is not allowed; use text"),
        ("{ directory = 'dist', root = 'x' }", "unknown key 'root'"),
        ("{ directory = 'dist', symlinks = 'some' }", "use never, inside or anywhere"),
        ("{ directory = 'dist', fallback = 'index.html' }", "or a file such as /index.html"),
        ("{ directory = 'dist', not-found = '404.html' }", "such as /404.html"),
        ("{ directory = 'dist', index = 'a' }", "an array of names"),
        ("{ directory = 'dist', index = ['a/b'] }", "the name of a file"),
        ("{ directory = 'dist', max-age = 'soon' }", "seconds or a duration"),
        ("{ directory = 'dist', max-age = -1 }", "seconds, 0 or more"),
        ("{ directory = 'dist', listing = 1 }", "true or false"),
        ("{ directory = 'dist', headers = ['a'] }", "a table of names and values"),
        ("{ directory = 'dist', headers = { Content-Length = '1' } }", "is set by the server"),
        ("{ directory = 'dist', cache-control = { '*' = \"a\\nb\" } }", "is not a value"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(
    place: Path, entry: str, complaint: str
) -> None:
    (place / "katana.toml").write_text(f'[static-dirs]\n"/a" = {entry}')
    with pytest.raises(ConfigurationError, match=re.escape(complaint)) as raised:
        load({}, "katana.toml")
    assert str(raised.value).startswith("file katana.toml key static-dirs: ")


@pytest.mark.parametrize("path", ["assets", "", "/a//b", "/a/../b", "/%41", "/a?b", "/a\\b"])
def test_a_prefix_is_a_path_as_it_reads_decoded(path: str) -> None:
    with pytest.raises(ConfigurationError, match="use a path"):
        Config(static_dir=[StaticFiles(path, "dist")])


@pytest.mark.parametrize("member", ["/a=dist", ("/a", "dist"), 5])
def test_code_gives_objects(member: Any) -> None:
    with pytest.raises(ConfigurationError, match="StaticFiles"):
        Config(static_dir=[member])


@pytest.mark.parametrize("types", ["text", "text/", "*/*", "a b/c"])
def test_types_to_compress_are_media_types(types: str) -> None:
    with pytest.raises(ConfigurationError, match="media types such as"):
        Config(compress_types=types)
    assert Config(compress_types="text/*, image/svg+xml").compress_types == (
        "text/*",
        "image/svg+xml",
    )


def test_the_size_of_the_cache_has_a_unit() -> None:
    config = load({"cache": ["64MiB"], "cache_lock_timeout": ["500ms"]}).config
    assert (config.cache, config.cache_lock_timeout) == (64 * 2**20, 0.5)
