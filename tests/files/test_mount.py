"""What a mount answers: conditions, ranges, codings, directories, fallbacks, faults, memory."""

from __future__ import annotations

import email
import errno
import os
import tempfile
from email.policy import HTTP
from pathlib import Path

import pytest

from tests.files.conftest import MODIFIED, FaultyDisk, Site, write

DATE = "Sun, 09 Sep 2001 01:46:40 GMT"
LATER = "Sun, 09 Sep 2001 01:46:41 GMT"
EARLIER = "Sun, 09 Sep 2001 01:46:39 GMT"
RFC_850 = "Sunday, 09-Sep-01 01:46:40 GMT"
ASCTIME = "Sun Sep  9 01:46:40 2001"

CSS = b"body { color: red }" * 10
BIG = bytes(range(256)) * 1000
PLACES = pytest.mark.parametrize("path", ["/style.css", "/big.bin"], ids=["memory", "disk"])


def tag(site: Site, path: str) -> str:
    etag = site.get(path, "HEAD")["etag"]
    assert etag is not None
    return etag.decode()


@PLACES
def test_get_and_head_have_the_same_head(site: Site, path: str) -> None:
    got, head = site.get(path), site.get(path, "HEAD")
    assert (head.status, head.fields, head.content) == (200, got.fields, b"")
    assert got.content == (CSS if path == "/style.css" else BIG)
    assert got["last-modified"] == DATE.encode()
    assert got["accept-ranges"] == b"bytes"
    assert got["etag"] == b'"%x-%x"' % (MODIFIED * 10**9, len(got.content))
    assert got["cache-control"] is None
    assert got["x-content-type-options"] == b"nosniff"


@PLACES
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": "{tag}"}, 304),
        ({"if_none_match": "W/{tag}"}, 304),
        ({"if_none_match": '"x,y", {tag}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"x"'}, 200),
        ({"if_none_match": "{tag} junk"}, 200),
        ({"if_none_match": ""}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": RFC_850}, 304),
        ({"if_modified_since": ASCTIME}, 304),
        ({"if_modified_since": "yesterday"}, 200),
        # the tag decides alone
        ({"if_none_match": '"x"', "if_modified_since": DATE}, 200),
        ({"if_none_match": "{tag}", "if_modified_since": EARLIER}, 304),
        ({"if_match": "{tag}"}, 200),
        ({"if_match": '"x", {tag}'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": "W/{tag}"}, 412),
        ({"if_match": '"x"'}, 412),
        ({"if_match": '"x"', "if_none_match": "{tag}"}, 412),
        ({"if_match": "{tag}", "if_none_match": "{tag}"}, 304),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_unmodified_since": "junk"}, 200),
        ({"if_match": "{tag}", "if_unmodified_since": EARLIER}, 200),
        # conditions come before ranges
        ({"if_none_match": "{tag}", "range": "bytes=0-1"}, 304),
        ({"if_match": '"x"', "range": "bytes=0-1"}, 412),
        ({"if_none_match": '"x"', "range": "bytes=0-1"}, 206),
    ],
)
def test_preconditions_in_their_order(
    site: Site, path: str, fields: dict[str, str], status: int
) -> None:
    etag = tag(site, path)
    given = {name: value.replace("{tag}", etag) for name, value in fields.items()}
    answer = site.get(path, **given)
    assert answer.status == status
    if status == 304:
        assert answer.content == b""
        assert answer["etag"] == etag.encode()
        assert answer["last-modified"] == DATE.encode()
        assert (answer["content-type"], answer["content-length"]) == (None, None)
    head = site.get(path, "HEAD", **given)
    assert head.status == (200 if status == 206 else status)


def test_conditions_mean_nothing_for_what_is_not_there(site: Site) -> None:
    for fields in ({"if_match": "*"}, {"if_none_match": "*"}, {"range": "bytes=0-1"}):
        assert site.get("/nope", **fields).status == 404


@pytest.mark.parametrize(
    ("value", "status", "content", "content_range"),
    [
        ("bytes=0-0", 206, BIG[:1], b"bytes 0-0/256000"),
        ("bytes=-1", 206, BIG[-1:], b"bytes 255999-255999/256000"),
        ("bytes=255998-", 206, BIG[-2:], b"bytes 255998-255999/256000"),
        ("bytes=255999-999999", 206, BIG[-1:], b"bytes 255999-255999/256000"),
        ("bytes=0-9,5-19", 206, BIG[:20], b"bytes 0-19/256000"),
        ("bytes=256000-", 416, b"", b"bytes */256000"),
        ("bytes=-0", 416, b"", b"bytes */256000"),
        ("bytes=5-4", 200, BIG, None),
        ("lines=0-1", 200, BIG, None),
        ("bytes=" + "0-," * 1000, 200, BIG, None),
    ],
)
def test_one_range(
    site: Site, value: str, status: int, content: bytes, content_range: bytes | None
) -> None:
    answer = site.get("/big.bin", range=value)
    assert (answer.status, answer.content, answer["content-range"]) == (
        status,
        content,
        content_range,
    )
    assert answer["content-length"] == b"%d" % len(content)
    assert site.get("/big.bin", "HEAD", range=value).status == 200


@PLACES
def test_several_ranges_are_parts_in_the_order_asked_for(site: Site, path: str) -> None:
    whole = site.get(path).content
    answer = site.get(path, range="bytes=150-159, 0-9, 999999-")
    assert answer.status == 206
    assert answer["content-range"] is None
    kind = answer["content-type"]
    assert kind is not None
    parsed = email.message_from_bytes(
        b"content-type: " + kind + b"\r\n\r\n" + answer.content, policy=HTTP
    )
    size = len(whole)
    assert [(part["content-range"], part.get_content_type()) for part in parsed.iter_parts()] == [
        (f"bytes 150-159/{size}", site.get(path)["content-type"].decode().partition(";")[0]),
        (f"bytes 0-9/{size}", site.get(path)["content-type"].decode().partition(";")[0]),
    ]
    assert whole[150:160] in answer.content
    assert whole[:10] in answer.content


def test_many_ranges_never_bring_much_more_than_the_file(site: Site) -> None:
    for specs in (
        "0-" + ",0-" * 60,
        ",".join(f"{n}-" for n in range(60)),
        ",".join(["-5000"] * 64),
    ):
        assert len(site.get("/big.bin", range=f"bytes={specs}").content) <= len(BIG)
    spread = ",".join(f"{n * 1000}-{n * 1000}" for n in range(64))
    assert len(site.get("/big.bin", range=f"bytes={spread}").content) < 64 * 200


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{tag}", 206),
        ('"x"', 200),
        ("W/{tag}", 200),
        (DATE, 206),
        (RFC_850, 206),
        (LATER, 200),
        (EARLIER, 200),
        ("junk", 200),
    ],
)
@PLACES
def test_if_range(site: Site, path: str, condition: str, status: int) -> None:
    condition = condition.replace("{tag}", tag(site, path))
    assert site.get(path, range="bytes=0-1", if_range=condition).status == status
    assert site.get(path, if_range=condition).status == 200


def test_a_date_within_its_own_second_is_no_strong_validator(site: Site) -> None:
    site.clocks.wall = MODIFIED + 0.5
    assert site.get("/style.css", range="bytes=0-1", if_range=DATE).status == 200
    site.clocks.wall = MODIFIED + 2
    assert site.get("/style.css", range="bytes=0-1", if_range=DATE).status == 206


def test_an_empty_file(site: Site) -> None:
    for fields in ({}, {"range": "bytes=0-"}, {"range": "bytes=-1"}):
        answer = site.get("/empty.txt", **fields)
        assert (answer.status, answer.content, answer["content-length"]) == (200, b"", b"0")


# Codings


@pytest.fixture
def coded(root: Path) -> Site:
    for suffix in ("br", "zst", "gz"):
        write(root / f"style.css.{suffix}", f"as {suffix}")
        write(root / f"big.bin.{suffix}", f"big as {suffix}" * 10_000)
    write(root / "photo.png", "png")
    write(root / "photo.png.gz", "never")
    return Site(root)


@pytest.mark.parametrize(
    ("accepted", "content", "coding"),
    [
        ("br", b"as br", b"br"),
        ("gzip, br", b"as br", b"br"),
        ("zstd, gzip", b"as zst", b"zstd"),
        ("gzip;q=1, br;q=0.9", b"as gz", b"gzip"),
        ("br;q=0, gzip", b"as gz", b"gzip"),
        ("br;q=0", CSS, None),
        ("*", b"as br", b"br"),
        ("identity", CSS, None),
        ("identity;q=0", CSS, None),
        ("GZIP", b"as gz", b"gzip"),
        ("", CSS, None),
        ("junk;;;", CSS, None),
    ],
)
def test_a_sidecar_is_chosen_by_weights(
    coded: Site, accepted: str, content: bytes, coding: bytes | None
) -> None:
    answer = coded.get("/style.css", accept_encoding=accepted)
    assert (answer.content, answer["content-encoding"]) == (content, coding)
    assert answer["vary"] == b"accept-encoding"
    assert answer["content-type"] == b"text/css; charset=utf-8"


def test_each_coding_has_a_tag_of_its_own_that_makes_a_304(coded: Site) -> None:
    tags = set()
    for accepted in ("br", "zstd", "gzip", "identity"):
        answer = coded.get("/style.css", accept_encoding=accepted)
        etag = answer["etag"]
        assert etag is not None
        tags.add(etag)
        again = coded.get("/style.css", accept_encoding=accepted, if_none_match=etag)
        assert (again.status, again["etag"], again["vary"]) == (304, etag, b"accept-encoding")
        other = coded.get("/style.css", accept_encoding="deflate", if_none_match=etag)
        assert other.status == (304 if accepted == "identity" else 200)
    assert len(tags) == 4


def test_without_accept_encoding_the_plain_file_is_sent_with_vary(coded: Site) -> None:
    answer = coded.get("/style.css")
    assert (answer.content, answer["vary"]) == (CSS, b"accept-encoding")


def test_a_range_is_one_of_the_plain_file(coded: Site) -> None:
    answer = coded.get("/style.css", accept_encoding="br", range="bytes=0-3")
    assert (answer.status, answer.content, answer["content-encoding"]) == (206, CSS[:4], None)


def test_a_large_sidecar_is_sent_from_its_file(coded: Site) -> None:
    answer = coded.get("/big.bin", accept_encoding="br")
    assert answer.from_file
    assert answer.content == b"big as br" * 10_000


def test_what_does_not_compress_has_no_sidecars(coded: Site) -> None:
    answer = coded.get("/photo.png", accept_encoding="gzip")
    assert (answer.content, answer["vary"]) == (b"png", None)


@pytest.mark.parametrize("fault", ["older", "directory", "unreadable", "off"])
def test_a_sidecar_that_cannot_be_used_is_passed_over(root: Path, fault: str) -> None:
    sidecar = root / "style.css.br"
    disk = FaultyDisk()
    if fault == "directory":
        sidecar.mkdir()
    else:
        write(sidecar, "as br", MODIFIED - 1 if fault == "older" else MODIFIED)
    if fault == "unreadable":
        disk = FaultyDisk("open", errno.EACCES, after=1)
    answer = Site(root, disk, precompressed=fault != "off").get("/style.css", accept_encoding="br")
    assert (answer.status, answer.content, answer["content-encoding"]) == (200, CSS, None)


# Directories, methods, names


@pytest.mark.parametrize(
    ("path", "status", "content", "location"),
    [
        ("/", 200, b"<h1>home</h1>", None),
        ("", 308, b"", b"./static/"),
        ("/docs", 308, b"", b"./docs/"),
        ("/docs/", 200, b"docs", None),
        ("/bare", 308, b"", b"./bare/"),
        ("/bare/", 404, b"", None),
        ("/style.css/", 404, b"", None),
        ("/docs/index.html", 200, b"docs", None),
        ("/a%20b%26c.txt", 200, b"spaced", None),
        ("/caf%C3%A9.txt", 200, b"coffee", None),
        ("/.well-known/security.txt", 200, b"contact", None),
        ("/.env", 404, b"", None),
        ("/nope", 404, b"", None),
        ("/style.css/nope", 404, b"", None),
        ("/" + "a" * 300, 404, b"", None),
    ],
)
def test_directories_and_names(
    site: Site, path: str, status: int, content: bytes, location: bytes | None
) -> None:
    answer = site.get(path)
    assert (answer.status, answer.content, answer["location"]) == (status, content, location)


def test_a_redirect_keeps_the_query_and_never_leads_to_another_host(root: Path) -> None:
    (root / "evil.com").mkdir()
    site = Site(root)
    response = site.mount.respond("GET", b"/docs", b"a=b&c=%0d%0a", [])
    assert response is not None
    assert dict(response.fields)[b"location"] == b"./docs/?a=b&c=%0d%0a"
    assert site.get("/evil.com")["location"] == b"./evil.com/"
    for path in ("//evil.com", "//evil.com/..", "/%2fevil.com", "/\\evil.com"):
        assert site.get(path).status == 404


def test_a_name_with_a_colon_stays_a_name(root: Path) -> None:
    (root / "http:").mkdir()
    assert Site(root).get("/http:")["location"] == b"./http:/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"])
def test_other_methods_are_refused_or_left_to_the_application(root: Path, method: str) -> None:
    answer = Site(root).get("/style.css", method)
    assert (answer.status, answer["allow"]) == (405, b"GET, HEAD")
    assert Site(root, fallback="application").ask("/style.css", method) is None


def test_what_is_not_there_is_left_to_the_application(root: Path) -> None:
    site = Site(root, fallback="application")
    assert site.ask("/nope") is None
    assert site.ask("/../secret.txt") is None
    assert site.ask("/bare/") is None
    assert site.get("/style.css").status == 200


def test_one_page_answers_where_a_browser_navigates(root: Path) -> None:
    site = Site(root, fallback="/index.html")
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"
    answer = site.get("/users/5", accept=browser)
    assert (answer.status, answer.content) == (200, b"<h1>home</h1>")
    assert site.get("/users/5", "HEAD", accept=browser).status == 200
    assert site.get("/users/5", accept="application/json").status == 404
    assert site.get("/users/5").status == 404
    assert site.get("/assets/gone.js", accept=browser).status == 404
    assert site.get("/users/5", "POST", accept=browser).status == 405


def test_a_page_of_its_own_for_what_is_not_there(root: Path) -> None:
    write(root / "404.html", "not here")
    site = Site(root, not_found="/404.html", max_age=60)
    for method, content in (("GET", b"not here"), ("HEAD", b"")):
        answer = site.get("/nope", method)
        assert (answer.status, answer.content, answer["content-length"]) == (404, content, b"8")
        assert (answer["etag"], answer["cache-control"]) == (None, None)
    assert site.get("/nope", if_none_match="*").status == 404


def test_a_listing_only_where_it_is_asked_for(root: Path) -> None:
    write(root / "bare" / '<b>&".txt', "x")
    (root / "bare" / "sub").mkdir()
    write(root / "bare" / ".hidden", "x")
    answer = Site(root, listing=True).get("/bare/")
    assert (answer.status, answer["content-type"]) == (200, b"text/html; charset=utf-8")
    assert b'<a href="./%3Cb%3E%26%22.txt">&lt;b&gt;&amp;&quot;.txt</a>' in answer.content
    assert b'<a href="./sub/">sub/</a>' in answer.content
    assert b"hidden" not in answer.content
    assert answer.content.index(b"sub/") < answer.content.index(b"note.txt")
    assert Site(root, listing=True).get("/bare/", "HEAD").content == b""
    assert Site(root).get("/bare/").status == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index.html", b"no-cache"),
        ("docs/index.html", b"private"),
        ("app.3f9ac01b.js", b"public, max-age=31536000, immutable"),
        ("app-BkPx3-9Q.js", b"public, max-age=31536000, immutable"),
        ("app.min.js", b"public, max-age=60"),
        ("jquery-12345678.js", b"public, max-age=60"),
        ("application-templates.js", b"public, max-age=60"),
        ("feedface-deadbeef.js", b"public, max-age=60"),
    ],
)
def test_cache_control_by_pattern_hash_and_age(root: Path, name: str, value: bytes) -> None:
    write(root / name, "x")
    site = Site(
        root,
        immutable=True,
        max_age=60,
        cache_control=(("docs/*", "private"), ("*.html", "no-cache")),
    )
    assert site.get(f"/{name}")["cache-control"] == value


def test_fields_and_types_of_ones_own(root: Path) -> None:
    site = Site(
        root,
        headers=(("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store")),
        media_types=((".css", "text/x-own"),),
        nosniff=False,
        max_age=60,
    )
    answer = site.get("/style.css")
    assert answer["access-control-allow-origin"] == b"*"
    assert answer["cache-control"] == b"no-store"
    assert answer["content-type"] == b"text/x-own"
    assert answer["x-content-type-options"] is None


# Times and sizes


@pytest.mark.parametrize(
    ("modified", "sent"), [(0, None), (1, None), (2, "Thu, 01 Jan 1970 00:00:02 GMT")]
)
def test_a_modification_time_of_no_content_is_not_sent(
    root: Path, modified: int, sent: str | None
) -> None:
    write(root / "old.txt", "x", modified)
    assert Site(root).get("/old.txt")["last-modified"] == (sent and sent.encode())


def test_last_modified_is_never_in_the_future(root: Path) -> None:
    write(root / "new.txt", "x", 4_100_000_000)
    site = Site(root)
    site.clocks.wall = MODIFIED
    assert site.get("/new.txt")["last-modified"] == DATE.encode()


def test_ranges_at_the_end_of_a_file_of_five_gibibytes(root: Path) -> None:
    with (root / "huge.bin").open("wb") as file:
        file.truncate(5 * 2**30)
        file.seek(5 * 2**30 - 3)
        file.write(b"end")
    answer = Site(root).get("/huge.bin", range="bytes=-3")
    assert (answer.status, answer.content) == (206, b"end")
    assert answer["content-range"] == b"bytes 5368709117-5368709119/5368709120"


# Memory


def test_a_small_file_is_served_from_memory_and_compared_once_a_second(root: Path) -> None:
    disk = FaultyDisk()
    site = Site(root, disk)
    first = site.ask("/style.css")
    calls = disk.calls
    for _ in range(100):
        assert site.ask("/style.css") is first
    assert disk.calls == calls
    site.clocks.advance(1)
    assert site.ask("/style.css") is first
    assert disk.calls == calls + 1
    assert disk.opened == set()


def test_a_change_is_seen_within_a_second(root: Path) -> None:
    site = Site(root)
    old = site.get("/style.css")
    write(root / "new", "new", MODIFIED + 5).rename(root / "style.css")
    site.clocks.advance(1)
    new = site.get("/style.css")
    assert (new.content, new["etag"] != old["etag"]) == (b"new", True)
    (root / "style.css").unlink()
    site.clocks.advance(1)
    assert site.get("/style.css").status == 404
    write(root / "style.css", "back")
    assert site.get("/style.css").content == b"back"


def test_a_sidecar_that_comes_and_goes_is_seen(root: Path) -> None:
    site = Site(root)
    assert site.get("/style.css", accept_encoding="br").content == CSS
    sidecar = write(root / "style.css.br", "as br")
    site.clocks.advance(1)
    assert site.get("/style.css", accept_encoding="br").content == b"as br"
    os.utime(root / "style.css", (MODIFIED + 9, MODIFIED + 9))
    site.clocks.advance(1)
    assert site.get("/style.css", accept_encoding="br").content == CSS
    sidecar.unlink()
    site.clocks.advance(1)
    assert site.get("/style.css", accept_encoding="br").content == CSS


def test_a_file_that_was_just_changed_is_not_remembered(root: Path) -> None:
    site = Site(root)
    site.clocks.wall = (root / "style.css").stat().st_ctime + 1
    first = site.ask("/style.css")
    assert site.ask("/style.css") is not first
    (root / "style.css").write_bytes(b"X" * len(CSS))
    os.utime(root / "style.css", (MODIFIED, MODIFIED))
    assert site.get("/style.css").content == b"X" * len(CSS)


def test_a_file_that_is_replaced_all_the_time_is_wholly_old_or_new(root: Path) -> None:
    site = Site(root)
    for round_ in range(300):
        size = 100 + round_
        write(root / "spare", bytes([round_ % 256]) * size, MODIFIED + round_)
        (root / "spare").rename(root / "style.css")
        site.clocks.advance(0.6)
        answer = site.get("/style.css")
        assert len(set(answer.content)) == 1
        expected = MODIFIED + len(answer.content) - 100
        assert answer["etag"] == b'"%x-%x"' % (expected * 10**9, len(answer.content))


def test_the_root_may_be_replaced(root: Path) -> None:
    release = root.parent / "release-1"
    root.rename(release)
    root.symlink_to("release-1")
    site = Site(root)
    assert site.get("/style.css").content == CSS
    write(root.parent / "release-2" / "style.css", "second")
    root.unlink()
    root.symlink_to("release-2")
    site.clocks.advance(1)
    assert site.get("/style.css").content == b"second"


def test_memory_is_bounded(root: Path) -> None:
    for number in range(400):
        write(root / f"{number}.txt", b"x" * 65_536)
    site = Site(root)
    for number in range(400):
        site.get(f"/{number}.txt")
        site.get("/style.css", accept_encoding=f"x{number}")
    assert site.mount.memory.weight <= 16 * 2**20


# Faults


@pytest.mark.parametrize(
    ("failing", "error", "status"),
    [
        ("open", errno.ENOENT, 404),
        ("open", errno.ENOTDIR, 404),
        ("open", errno.EACCES, 404),
        ("open", errno.ELOOP, 404),
        ("open", errno.EXDEV, 404),
        ("open", errno.ENAMETOOLONG, 404),
        ("open", errno.EMFILE, 503),
        ("open", errno.ENFILE, 503),
        ("open", errno.EIO, 500),
        ("open", errno.ESTALE, 500),
        ("stat", errno.EIO, 500),
        ("read_now", errno.EIO, 500),
        ("open_root", errno.EMFILE, 503),
        ("open_root", errno.ENOENT, 404),
    ],
)
def test_a_disk_that_fails_gives_a_status_and_leaves_nothing_open(
    root: Path, failing: str, error: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    # the first stat is that of the root
    disk = FaultyDisk(failing, error, after=1 if failing == "stat" else 0)
    answer = Site(root, disk, cache_control=(("*", "max-age=9"),)).get("/style.css")
    assert (answer.status, answer.content) == (status, b"")
    assert answer["cache-control"] is None
    assert answer["retry-after"] == (b"1" if status == 503 else None)
    assert disk.opened == set()
    assert bool(caplog.records) is (status >= 500 or error == errno.EACCES)


def test_a_file_that_vanishes_between_its_opening_and_its_reading_is_sent(root: Path) -> None:
    class Vanishing(FaultyDisk):
        def stat(self, opened: int) -> os.stat_result:
            if opened in self.opened:
                (root / "style.css").unlink(missing_ok=True)
            return super().stat(opened)

    site = Site(root, Vanishing())
    assert site.get("/style.css").content == CSS


def test_a_file_that_shrinks_while_it_is_read_is_left_to_its_descriptor(root: Path) -> None:
    class Shrinking(FaultyDisk):
        def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
            os.truncate(root / "style.css", 10)
            return super().read_now(opened, size, offset)

    response = Site(root, Shrinking()).ask("/style.css")
    assert response is not None
    assert not isinstance(response.content, bytes)
    response.close()


def test_where_the_page_cache_cannot_be_asked_a_small_file_is_in_memory_too(root: Path) -> None:
    """Overlay file systems, so all images of containers, and tmpfs."""

    class Overlay(FaultyDisk):
        def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
            return None

        def is_cold(self, opened: int, offset: int) -> bool:
            return False

    site = Site(root, Overlay())
    first = site.ask("/style.css")
    assert first is not None
    assert first.content == CSS
    assert site.ask("/style.css") is first


def test_a_file_on_tmpfs_is_kept_in_memory() -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("needs /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        write(Path(place, "style.css"), CSS)
        site = Site(Path(place))
        first = site.ask("/style.css")
        assert first is not None
        assert site.ask("/style.css") is first


def test_a_cold_file_is_left_to_its_descriptor(root: Path) -> None:
    class Cold(FaultyDisk):
        def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
            return None

        def is_cold(self, opened: int, offset: int) -> bool:
            return True

    answer = Site(root, Cold()).get("/style.css")
    assert answer.from_file
    assert answer.content == CSS
