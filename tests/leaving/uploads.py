"""Uploads that are refused before they are read: an application that refuses, clients that upload.

A client gives the status it got for a POST of so many bytes, or raises what it raised.
"""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from importlib.util import find_spec
from urllib.parse import urlsplit

from tests.support import TIMEOUT

BLOB = bytes(60_000_000)

WAIT = 2 * TIMEOUT

REFUSING = """
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse

api = FastAPI()

@api.middleware("http")
async def guard(request, call_next):
    if request.url.path == "/guarded":
        return PlainTextResponse("who are you", 401)
    return await call_next(request)

@api.post("/items/")
async def items(request: Request):
    return len(await request.body())

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] in ("/refused", "/"):
        status = 413 if scope["method"] == "POST" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"too much"})
    else:
        await api(scope, receive, send)
"""

PATHS = {"/refused": 413, "/guarded": 401, "/items": 307}
"""Of ``REFUSING``: what answers without reading, and how."""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments):
        return None


def standard(url, size, trust):
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    options = {"context": trust} if parts.scheme == "https" else {}
    connection = kind("localhost", parts.port, timeout=WAIT, **options)
    try:
        connection.request("POST", parts.path, BLOB[:size])
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def urllib_(url, size, trust):
    opener = urllib.request.build_opener(
        _Stay, urllib.request.HTTPSHandler(context=trust), urllib.request.ProxyHandler({})
    )
    try:
        with opener.open(urllib.request.Request(url, BLOB[:size]), timeout=WAIT) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def requests_(url, size, trust):
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.verify = trust.file if trust is not None else True
        answer = session.post(url, data=BLOB[:size], allow_redirects=False, timeout=WAIT)
        return answer.status_code


def httpx_(url, size, trust):
    import httpx

    verify = trust if trust is not None else True
    with httpx.Client(verify=verify, trust_env=False, timeout=WAIT) as client:
        return client.post(url, content=BLOB[:size]).status_code


def aiohttp_(url, size, trust):
    import asyncio
    import io

    import aiohttp

    async def post():
        async with aiohttp.ClientSession() as session:
            data = io.BytesIO(BLOB[:size])
            options = {"allow_redirects": False, "ssl": trust or True}
            async with session.post(url, data=data, **options) as response:
                await response.read()
                return response.status

    return asyncio.run(post())


def curl(url, size, trust, *further):
    command = ["curl", "-s", "--noproxy", "*", "--http1.1", "-o", "/dev/null", "-w", "%{http_code}"]
    command += ["--data-binary", "@-", "-m", str(int(WAIT)), *further, url]
    if trust is not None:
        command += ["--cacert", trust.file]
    done = subprocess.run(command, input=BLOB[:size], capture_output=True, check=False)
    assert done.returncode == 0, done
    return int(done.stdout)


def curl_at_once(url, size, trust):
    return curl(url, size, trust, "-H", "Expect:")


def curl_1_0(url, size, trust):
    return curl(url, size, trust, "--http1.0", "-H", "Expect:")


def curl_chunked(url, size, trust):
    return curl(url, size, trust, "-H", "Expect:", "-H", "Transfer-Encoding: chunked")


LIBRARIES = {"requests": requests_, "httpx": httpx_, "aiohttp": aiohttp_}

CLIENTS = {"http.client": standard, "urllib": urllib_}
CLIENTS |= {name: client for name, client in LIBRARIES.items() if find_spec(name)}
if shutil.which("curl"):
    for client in (curl, curl_at_once, curl_1_0, curl_chunked):
        CLIENTS[client.__name__] = client


class Trust(ssl.SSLContext):
    """A client's context that knows the file of its authority."""

    file: str

    @classmethod
    def of(cls, authority, path):
        """Trust ``authority``, whose certificate is written to ``path``."""
        authority.cert_pem.write_to_path(path)
        trust = cls(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(path)
        trust.file = path
        return trust
