"""``python -m benchmarks.codec``: C beside its twin in Python, and httptools under the same rules.

``proxied`` is a browser's request behind a balancer, 19 fields; nothing is remembered from one
call to the next, so a head costs the same whether it came before or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from timeit import Timer
from typing import Any

from katana_asgi import codec
from katana_asgi.codec import fields, heads, masking, nodes
from katana_asgi.http1.parser_httptools import parse_fields

__all__ = ["main"]

Case = tuple[str, Callable[[], object]]

LIMITS = (16384, 65536, 128)

HEADS = {
    "minimal": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
    "proxied": (
        b"GET /items/4711?page=3&sort=name HTTP/1.1\r\n"
        b"Host: shop.example.com\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
        b"Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Referer: https://shop.example.com/items\r\n"
        b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; _ga=GA1.1.123456789\r\n"
        b"Sec-Fetch-Dest: document\r\n"
        b"Sec-Fetch-Mode: navigate\r\n"
        b"Sec-Fetch-Site: same-origin\r\n"
        b"Priority: u=0, i\r\n"
        b"X-Forwarded-For: 203.0.113.7\r\n"
        b"X-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Port: 443\r\n"
        b"X-Forwarded-Host: shop.example.com\r\n"
        b"X-Real-IP: 203.0.113.7\r\n"
        b"X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n"
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        b"Connection: keep-alive\r\n\r\n"
    ),
}

HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"27"),
    (b"Cache-Control", b"no-store"),
    (b"x-request-id", b"7f9c24e5"),
]

FIRST = b"HTTP/1.1 200 OK\r\n"
LAST = b"date: Mon, 30 Nov 2026 03:00:00 GMT\r\nserver: katana-asgi\r\n\r\n"
CONTENT = b'{"name": "fork", "count": 3}'


def cases() -> Iterator[Case]:
    """Yield the cases; those in C where it was built."""
    for size, head in HEADS.items():
        name = f"{size}, {len(head)} bytes"
        if codec.NATIVE:
            yield (f"head in C, {name}", partial(codec.scan_head, head, *LIMITS))
        yield (f"head in Python, {name}", partial(heads.scan_head, head, *LIMITS))
        by_httptools = partial(codec.scan_head_with, parse_fields, head, *LIMITS)
        yield (f"head by httptools, {name}", by_httptools)
    if codec.NATIVE:
        yield from others("C", codec, codec.parse_node, codec.mask)
    yield from others("Python", fields, nodes.parse_node, masking.mask)


def others(
    language: str, module: Any, node: Callable[[bytes], object], mask: Callable[..., bytes]
) -> Iterator[Case]:
    """Yield what there is besides request heads."""
    checked = module.check_fields(HEADERS)
    render = partial(module.render_head, FIRST, checked, len(CONTENT), LAST, CONTENT)
    yield (f"4 headers checked in {language}", partial(module.check_fields, HEADERS))
    yield (f"a response of 4 headers in {language}", render)
    yield (f"a forwarded node in {language}", partial(node, b"203.0.113.7"))
    yield (f"1 KiB masked in {language}", partial(mask, bytes(1024), b"abcd"))


def main() -> None:
    """Measure and print; the least of several timings is the one that was not disturbed."""
    for name, call in cases():
        timer = Timer(call)
        number, _ = timer.autorange()
        least = min(timer.repeat(5, number // 4 + 1)) / (number // 4 + 1)
        print(f"{name:<44} {least * 1e9:>8,.0f} ns", flush=True)


if __name__ == "__main__":
    main()
