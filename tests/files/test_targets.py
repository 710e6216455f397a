"""From the path of a target to a name: what is decoded, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.files.target import parse_target

TRAVERSALS = [
    b"/..",
    b"/../secret.txt",
    b"/../static2/secret.txt",
    b"/docs/../../secret.txt",
    b"/docs/..",
    b"/.",
    b"/./style.css",
    b"/%2e%2e/secret.txt",
    b"/%2E%2E/secret.txt",
    b"/.%2e/secret.txt",
    b"/%2e./secret.txt",
    b"/..%2fsecret.txt",
    b"/..%2Fsecret.txt",
    b"/%2e%2e%2fsecret.txt",
    b"/docs%2f..%2f..%2fsecret.txt",
    b"/%2fetc/passwd",
    b"//etc/passwd",
    b"/docs//index.html",
    b"//",
    b"/docs//",
    b"/..\\secret.txt",
    b"/..%5csecret.txt",
    b"/..%5Csecret.txt",
    b"/docs\\index.html",
    b"/docs%5cindex.html",
    b"/style.css%00",
    b"/style.css%00.png",
    b"/%00",
    b"/style.css\x00",
    b"/%",
    b"/%2",
    b"/%zz",
    b"/100%",
    b"/" + b"a" * 5000,
    b"/" + b"a/" * 3000,
    b"/.env",
    b"/%2eenv",
    b"/.git/config",
    b"/docs/.env",
    b"/docs/.well-known/x",
    b"/.well-known/.env",
    b"/...",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_what_can_name_no_file_is_refused(path: bytes) -> None:
    assert parse_target(path) is None


@pytest.mark.parametrize(
    ("path", "segments", "directory"),
    [
        (b"", [], False),
        (b"/", [], True),
        (b"/style.css", [b"style.css"], False),
        (b"/docs/", [b"docs"], True),
        (b"/a%20b%26c.txt", [b"a b&c.txt"], False),
        (b"/caf%C3%A9.txt", "café.txt".encode().split(b"/"), False),
        # decoded once
        (b"/%252e%252e/x", [b"%2e%2e", b"x"], False),
        (b"/%25", [b"%"], False),
        # overlong UTF-8 is a strange name, not a dot or a slash
        (b"/%c0%ae%c0%ae/x", [b"\xc0\xae\xc0\xae", b"x"], False),
        (b"/..%c0%af", None, False),
        (b"/a..b", [b"a..b"], False),
        (b"/a.", [b"a."], False),
        (b"/.well-known/security.txt", [b".well-known", b"security.txt"], False),
    ],
)
def test_segments_are_decoded_once(
    path: bytes, segments: list[bytes] | None, directory: bool
) -> None:
    target = parse_target(path)
    if segments is None:
        assert target is None
    else:
        assert target == (segments, directory)


def test_names_with_a_dot_in_front_are_served_where_a_mount_says_so() -> None:
    assert parse_target(b"/.env", dotfiles=True) == ([b".env"], False)
    assert parse_target(b"/../x", dotfiles=True) is None


@given(
    st.lists(
        st.sampled_from([b"/", b".", b"..", b"%2e", b"%2f", b"%5c", b"\\", b"%00", b"a", b"%25"])
    )
)
def test_no_combination_names_a_place_outside(parts: list[bytes]) -> None:
    target = parse_target(b"/" + b"".join(parts), dotfiles=True)
    if target is not None:
        for segment in target.segments:
            assert segment not in (b"", b".", b"..")
            assert not {b"/"[0], b"\\"[0], 0} & set(segment)
