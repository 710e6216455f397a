"""The reader that judges responses in the wire corpus: lax here would be blind there."""

from __future__ import annotations

import pytest
from answers import Answer, BadAnswer, read_answers

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (OK + b"Content-Length: 2\r\nX-Method: HEAD\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_framed_response_ends_where_its_framing_says(data: bytes, content: bytes) -> None:
    for size in range(1, len(data)):
        assert read_answers(data[:size], ended=False) == ([], data[:size])
    found, rest = read_answers(data + b"rest", ended=False)
    assert [answer.content for answer in found] == [content]
    assert rest == b"rest"


def test_content_without_framing_lasts_until_the_end() -> None:
    data = OK + b"\r\nall of it"
    assert read_answers(data, ended=False) == ([], data)
    assert read_answers(data, ended=True) == ([Answer(200, {}, b"all of it")], b"")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\na",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"X : 1\r\n\r\n",
        OK + b"X: a\nY: b\r\n\r\n",
        OK + b"X\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX",
    ],
)
def test_a_badly_framed_response_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answers(data, ended=True)
