"""The requests of the scenarios, byte by byte, and what a correct response to each is.

A request is either the same bytes each time (a repeat) or made of random numbers, so that no two
of ``DIFFERENT`` requests are alike. Real traffic is of the second kind: clients differ,
and a balancer adds what it knows of each request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from random import Random
from typing import TypeAlias

__all__ = ["DIFFERENT", "REQUESTS", "Request", "load_requests", "save_requests"]

DIFFERENT = 20_000
"""Requests that are made of a kind that differs; then they come again in the same order.

More than a bounded memory of a server holds, so that each of them is new to it.
"""

SEED = 1
"""Of the random numbers that requests are made of: the same requests in each run."""

BROWSER_FIELDS = (
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Site: none",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9",
)
"""What a browser sends beside Host: twelve fields in all, about 550 bytes."""


def browser(
    platform: str,
    system: str,
    *,
    version: int = 142,
    mobile: bool = False,
    brand: str = "Google Chrome",
    more: str = "",
) -> tuple[str, ...]:
    """Return the four fields in which the browsers of several clients differ."""
    brands = f'"Chromium";v="{version}", "{brand}";v="{version}", "Not_A Brand";v="99"'
    return (
        f"sec-ch-ua: {brands}",
        f"sec-ch-ua-mobile: ?{mobile:d}",
        f'sec-ch-ua-platform: "{platform}"',
        f"User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version}.0.0.0{' Mobile' * mobile} Safari/537.36{more}",
    )


WINDOWS = "Windows NT 10.0; Win64; x64"
BROWSERS = (
    browser("Linux", "X11; Linux x86_64"),
    browser("Windows", WINDOWS),
    browser("macOS", "Macintosh; Intel Mac OS X 10_15_7", version=141),
    browser("Android", "Linux; Android 10; K", mobile=True),
    browser("Windows", WINDOWS, brand="Microsoft Edge", more=" Edg/142.0.0.0"),
)
LANGUAGES = ("en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr-FR,fr;q=0.9", "ja,en;q=0.7")

Make: TypeAlias = Callable[[Random], bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request: its bytes, and the status and content that each must get.

    ``source`` is the bytes, or makes one of the requests from random numbers. ``content`` is
    ``None`` where only the length of the response's content is checked.
    """

    source: bytes | Make
    content: bytes | None = b"Hello, World!"
    length: int = 13
    status: int = 200

    @property
    def repeats(self) -> bool:
        """Whether all requests are the same bytes."""
        return isinstance(self.source, bytes)

    def stream(self) -> Iterator[bytes]:
        """Yield requests without end, the same ones in each run."""
        if isinstance(self.source, bytes):
            yield from repeat(self.source)
        else:
            random = Random(SEED)
            while True:
                yield self.source(random)

    def some(self, count: int = DIFFERENT) -> list[bytes]:
        """Return the first ``count`` requests; one where they repeat."""
        return list(islice(self.stream(), 1 if self.repeats else count))

    def first(self) -> bytes:
        """Return the first request."""
        return next(self.stream())


def save_requests(requests: Sequence[bytes], path: Path) -> None:
    """Write requests for a load generator: the length of each, a line feed, its bytes."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(data), data) for data in requests))


def load_requests(path: Path) -> list[bytes]:
    """Return the requests that were written to a file."""
    requests = []
    with path.open("rb") as file:
        while length := file.readline():
            requests.append(file.read(int(length)))
    return requests


def message(line: str, fields: tuple[str, ...] = (), content: bytes = b"") -> bytes:
    """Return a request with Host first and Content-Length last where there is content."""
    lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1:8000", *fields]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def echo(size: int) -> Request:
    """Return a POST of ``size`` bytes that must come back unchanged."""
    content = (b"katana-asgi echo " * (size // 17 + 1))[:size]
    fields = ("Content-Type: application/octet-stream",)
    return Request(message("POST /echo", fields, content), content, size)


def varied(random: Random) -> bytes:
    """Return six fields; path, query, cookie and trace are new."""
    fields = (
        "User-Agent: benchmark/1.0",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        cookie(random),
        trace(random),
    )
    user = random.randrange(1, 1 << 31)
    return message(f"GET /users/{user}/orders?page={random.randrange(1000)}&after={user}", fields)


def proxied(random: Random) -> bytes:
    """Return a browser's request to a shop."""
    item = random.randrange(1, 1 << 31)
    return balanced(random, f"GET /shop/{letters(random, 6)}/items/{item}?ref={letters(random, 8)}")


def browsing(random: Random) -> bytes:
    """Return a browser's request of which only path and query are new, a trace id in them."""
    item = random.randrange(1, 1 << 31)
    line = f"GET /shop/{letters(random, 6)}/items/{item}?trace={hexadecimal(random, 32)}"
    return message(line, BROWSER_FIELDS)


def proxied_item(random: Random) -> bytes:
    """Return a browser's request to the endpoint of the FastAPI application."""
    return balanced(random, f"GET /items/42?wanted=true&ref={letters(random, 8)}")


def proxied_static(random: Random) -> bytes:
    """Return a browser's request to the static route."""
    return balanced(random, f"GET /?ref={letters(random, 8)}")


def balanced(random: Random, line: str) -> bytes:
    """Return a browser's request as a balancer passes it on: 19 fields, seven of them new.

    The connection to a server carries the requests of many clients, so browser and language
    change as well, among a few.
    """
    brand, mobile, platform, agent = random.choice(BROWSERS)
    fields = (
        f"X-Forwarded-For: {client(random)}",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        f"X-Amzn-Trace-Id: Root=1-{hexadecimal(random, 8)}-{hexadecimal(random, 24)}",
        f"X-Request-ID: {identifier(random)}",
        trace(random),
        f"tracestate: vendor={hexadecimal(random, 16)},other=00f067aa0ba902b7",
        brand,
        mobile,
        platform,
        agent,
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Accept-Encoding: gzip, deflate, br, zstd",
        f"Accept-Language: {random.choice(LANGUAGES)}",
        f"{cookie(random)}; consent=yes; theme=dark",
        f'If-None-Match: "{hexadecimal(random, 32)}"',
    )
    return message(line, fields)


ORDER = 300
"""Bytes of an order in JSON."""


def order(random: Random) -> bytes:
    """Return a program's POST of JSON, past two proxies, with a token and a trace."""
    content = {
        "id": identifier(random),
        "customer": random.randrange(10**9, 10**10),
        "items": [
            {"sku": letters(random, 8), "count": random.randrange(1, 9), "price": "19.90"}
            for _ in range(3)
        ],
        "note": "",
    }
    content["note"] = "n" * (ORDER - len(json.dumps(content)))
    fields = (
        "User-Agent: orders/2.7 (httpx)",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        f"X-Forwarded-For: {client(random)}, 10.0.{random.randrange(256)}.{random.randrange(256)}",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        f"X-Request-ID: {identifier(random)}",
        trace(random),
        f"Authorization: Bearer {letters(random, 36)}.{letters(random, 120)}.{letters(random, 43)}",
        "Content-Type: application/json",
    )
    return message("POST /orders", fields, json.dumps(content).encode())


def client(random: Random) -> str:
    """Return the address of a client: one in four has IPv6."""
    if random.randrange(4):
        first, *others = random.randrange(11, 120), *random.randbytes(3)
        return ".".join(map(str, (first, *others)))
    return "2001:db8:" + ":".join(f"{random.randrange(1, 1 << 16):x}" for _ in range(6))


def cookie(random: Random) -> str:
    """Return a Cookie field with a session and a token."""
    return f"Cookie: session={letters(random, 40)}; csrftoken={letters(random, 32)}"


def trace(random: Random) -> str:
    """Return the traceparent field of W3C Trace Context."""
    return f"traceparent: 00-{hexadecimal(random, 32)}-{hexadecimal(random, 16)}-01"


def identifier(random: Random) -> str:
    """Return what looks like a UUID."""
    digits = hexadecimal(random, 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def hexadecimal(random: Random, length: int) -> str:
    """Return so many hexadecimal digits."""
    return f"{random.getrandbits(4 * length):0{length}x}"


def letters(random: Random, length: int) -> str:
    """Return so many letters and digits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bits = random.getrandbits(6 * length)
    return "".join(alphabet[bits >> shift & 63] for shift in range(0, 6 * length, 6))


ITEM = b'{"number":42,"name":"Hello, World!","wanted":true}'

REQUESTS: dict[str, Request] = {
    "plain": Request(message("GET /")),
    "browser": Request(message("GET /", BROWSER_FIELDS)),
    "browsing": Request(browsing),
    "varied": Request(varied),
    "proxied": Request(proxied),
    "proxied-static": Request(proxied_static),
    "api": Request(order, b'{"received":300}', 16),
    "pipelined": Request(message("GET /") * 16),
    "closing": Request(message("GET /", ("Connection: close",))),
    "echo-1k": echo(1024),
    "echo-64k": echo(65536),
    "upload-1m": Request(
        message("POST /sink", ("Content-Type: application/octet-stream",), bytes(1 << 20)),
        str(1 << 20).encode(),
        7,
    ),
    "download-1m": Request(message("GET /large"), None, 1 << 20),
    "item": Request(proxied_item, ITEM, len(ITEM)),
}
