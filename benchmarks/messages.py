"""The requests of the scenarios, byte by byte, and what a correct response to each is.

A template may hold ``{n}``: a load generator puts the number of the request there, so that no
two requests are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REQUESTS", "Request"]

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

MEDIUM_FIELDS = (
    "User-Agent: benchmark/1.0",
    "Accept: application/json",
    "Accept-Encoding: gzip, deflate",
    "Accept-Language: en-GB",
    "Cache-Control: no-cache",
    "X-Client-Version: 4.2.1",
    "X-Tenant: a-customer-of-ours",
)

LARGE_FIELDS = (
    *BROWSER_FIELDS,
    "Cookie: " + "; ".join(f"name{number}={'v' * 48}" for number in range(24)),
    *(f"X-Forwarded-Detail-{number}: {'d' * 96}" for number in range(16)),
)
"""29 fields, 3.8 kB: cookies and the additions of several proxies."""


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request: its bytes, and the status and content that it must get.

    ``content`` is ``None`` where only the length of the response's content is checked.
    """

    template: bytes
    content: bytes | None = b"Hello, World!"
    length: int = 13
    status: int = 200

    def first(self) -> bytes:
        """Return the request with the number 0."""
        return self.template.replace(b"{n}", b"0")


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


REQUESTS: dict[str, Request] = {
    "minimal": Request(message("GET /")),
    "medium": Request(message("GET /", MEDIUM_FIELDS)),
    "browser": Request(message("GET /", BROWSER_FIELDS)),
    "large": Request(message("GET /", LARGE_FIELDS)),
    "varied": Request(
        message("GET /users/{n}/orders?page={n}", (*MEDIUM_FIELDS, "X-Request-Id: {n}-{n}"))
    ),
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
    "item": Request(
        message("GET /items/42?wanted=true", BROWSER_FIELDS),
        b'{"number":42,"name":"Hello, World!","wanted":true}',
        50,
    ),
}
