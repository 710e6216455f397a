"""The application of the admin listener: who may read what."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from katana_asgi.testing import running

pytest.importorskip("prometheus_client")

from katana_asgi.admin.app import AdminApplication
from katana_asgi.observe.fleet import Fleet


def asking(path: str, *lines: str, method: str = "GET", host: str = "127.0.0.1:1") -> bytes:
    fields = "".join(f"{line}\r\n" for line in (f"Host: {host}", *lines))
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode()


@asynccontextmanager
async def admin(token: str = ""):
    async with running(AdminApplication(Fleet(1), token), lifespan="off") as server:
        yield server


async def test_without_a_token_everything_can_be_read() -> None:
    async with admin() as server:
        assert (await server.exchange(asking("/metrics"))).status == 200
        assert (await server.exchange(asking("/healthz"))).body == b"ok\n"
        status = await server.exchange(asking("/status", "Accept: application/json"))
        assert json.loads(status.body)["ready"] is False
        page = await server.exchange(asking("/status", "Accept: text/html"))
        assert page.header(b"content-type") == b"text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/nothing"])
@pytest.mark.parametrize("field", ["X: y", "Authorization: Bearer wrong", "Authorization: secret"])
async def test_with_a_token_nobody_reads_without_it(path: str, field: str) -> None:
    async with admin("secret") as server:
        refused = await server.exchange(asking(path, field))
        assert refused.status == 401
        assert refused.header(b"www-authenticate") == b"Bearer"


async def test_with_a_token_its_bearer_reads_and_probes_need_none() -> None:
    async with admin("secret") as server:
        allowed = await server.exchange(asking("/metrics", "Authorization: Bearer secret"))
        assert allowed.status == 200
        assert (await server.exchange(asking("/healthz"))).status == 200
        assert (await server.exchange(asking("/readyz"))).status == 503


async def test_the_page_has_no_data_and_runs_nothing_but_itself() -> None:
    async with admin("secret") as server:
        page = await server.exchange(asking("/", "Accept: text/html"))
        assert page.status == 200
        assert b"http://" not in page.body
        assert b"https://" not in page.body
        policy = page.header(b"content-security-policy")
        assert policy is not None
        assert b"default-src 'none'" in policy
        assert b"unsafe" not in policy


async def test_it_is_read_only() -> None:
    async with admin() as server:
        assert (await server.exchange(asking("/status", method="DELETE"))).status == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80"])
async def test_a_name_that_may_have_been_rebound_is_not_answered(host: str) -> None:
    async with admin() as server:
        assert (await server.exchange(asking("/status.json", host=host))).status == 421


@pytest.mark.parametrize("host", ["localhost:9", "[::1]:9", "127.0.0.1"])
async def test_addresses_are_answered(host: str) -> None:
    async with admin() as server:
        assert (await server.exchange(asking("/status.json", host=host))).status == 200


@pytest.mark.parametrize("version", ["abc", "2.0,abc", "1.0.0; escaping=,", "\xff"])
async def test_a_client_that_asks_for_a_version_that_is_none_gets_the_usual_one(
    version: str,
) -> None:
    line = f"Accept: application/openmetrics-text; version={version}, text/plain;version={version}"
    async with admin() as server:
        assert (await server.exchange(asking("/metrics", line))).status == 200
