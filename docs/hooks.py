"""What the site needs beyond Markdown: pages and files of the repository outside ``docs/``.

Documents link to each other as on the pages of a repository. Here those links are led to where
the site has the page or, for examples and tests, a copy of the file.
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "internals/contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "internals/benchmarks.md",
    "tests/wire/README.md": "internals/wire-cases.md",
}
"""Pages of the site that stand elsewhere in the repository."""

SOURCES = "source"
"""Where copies of other files are."""

ROOT = Path(__file__).parent.parent

FENCED = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and every file of the repository that a document names."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text("utf-8")))
    for file in list(files.documentation_pages()):
        for path in linked(_origin(file.src_uri), file.content_string):
            if _uri(path).startswith(f"{SOURCES}/"):
                _add_source(files, config, path)
    return files


def _add_source(files: Files, config: MkDocsConfig, path: str) -> None:
    """Add a copy of a file, or a page that lists a folder, and its files."""
    uri, source = _uri(path), ROOT / path
    if files.get_file_from_path(uri) is not None:
        return
    if not source.is_dir():
        files.append(File.generated(config, uri, abs_src_path=str(source)))
        return
    inside = sorted(each.name for each in source.iterdir() if each.is_file())
    listed = "\n".join(f"- [{name}]({name})" for name in inside)
    files.append(File.generated(config, uri, content=f"# {path}\n\n{listed}\n"))
    for name in inside:
        _add_source(files, config, f"{path}/{name}")


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead the links of a page to where the site has what they name."""
    if page.file.src_uri.startswith(f"{SOURCES}/"):
        return markdown
    origin, here = _origin(page.file.src_uri), posixpath.dirname(page.file.src_uri)
    pieces = FENCED.split(markdown)
    pieces[::2] = [LINK.sub(partial(_redirected, origin, here), piece) for piece in pieces[::2]]
    return "".join(pieces)


def linked(origin: str, markdown: str) -> set[str]:
    """The files of the repository that a document at ``origin`` links to."""
    places = (match[1] for piece in FENCED.split(markdown)[::2] for match in LINK.finditer(piece))
    return {_target(origin, place) for place in places if not _is_remote(place)}


def _redirected(origin: str, here: str, match: re.Match[str]) -> str:
    place, anchor = match[1], match[2] or ""
    if _is_remote(place):
        return match[0]
    return f"]({posixpath.relpath(_uri(_target(origin, place)), here or '.')}{anchor})"


def _is_remote(place: str) -> bool:
    return re.match(r"[a-z]+:", place) is not None


def _target(origin: str, place: str) -> str:
    """A path in the repository; a folder's is that of its README, where it has one."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), place))
    index = f"{path}/README.md"
    return index if (ROOT / index).is_file() else path


def _origin(uri: str) -> str:
    """Where a page of the site stands in the repository."""
    return next((path for path, other in PAGES.items() if other == uri), f"docs/{uri}")


def _uri(path: str) -> str:
    """Where the site has a file of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{SOURCES}/{path}/README.md" if (ROOT / path).is_dir() else f"{SOURCES}/{path}"
