"""What a client behind an nginx that sets three fields can make an application believe.

The nginx is configured as uvicorn's deployment page has it: Host, X-Forwarded-For and
X-Forwarded-Proto are nginx's, everything else is passed on as the client sent it.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import pytest
from balanced import run_nginx
from websockets.sync.client import connect

from tests.ports import free_port
from tests.support import TIMEOUT, ServerProcess

pytest.importorskip("fastapi")

CLIENT = "127.0.0.2"
"""Where the client connects from: unlike 127.0.0.1 it is not trusted."""

MAIN = """
from fastapi import FastAPI, Request, WebSocket

app = FastAPI()

def told(request):
    return {
        "link": str(request.url_for("reset", token="t")),
        "url": str(request.url),
        "client": request.client.host,
        "root_path": request.scope["root_path"],
        "server": list(request.scope["server"]),
    }

@app.get("/reset/{token}")
def reset(token: str, request: Request):
    return told(request)

@app.websocket("/socket")
async def socket(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_json(told(websocket))
    await websocket.close()
"""

PLAIN = """
events {}
http {
    access_log off;
    map $http_upgrade $connection_upgrade {
        default upgrade;
        '' close;
    }
    server {
        listen 127.0.0.1:PORT;
        location / {
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_redirect off;
            proxy_buffering off;
            proxy_pass http://127.0.0.1:UPSTREAM;
        }
    }
}
"""

REAL_IP = PLAIN.replace(
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Real-IP $remote_addr;",
).replace("proxy_set_header X-Forwarded-Proto $scheme;", "")

CLAIMS = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "6666",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "host=evil.example;for=6.6.6.6;proto=https",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Scheme": "https",
    "Front-End-Https": "on",
    "X-Script-Name": "/evil",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
    "X-Original-Host": "evil.example",
    "X-Host": "evil.example",
    "X_Forwarded_Host": "evil.example",
}
"""What nginx passes on, or drops, without a word about it in its configuration."""


@contextmanager
def served(place, *arguments, configuration=PLAIN):
    """The port of an nginx with one server behind it."""
    (place / "main.py").write_text(MAIN)
    with ServerProcess("main:app", *arguments, cwd=place) as process:
        upstream = process.wait_listening().rpartition(":")[2]
        port = free_port()
        text = configuration.replace("PORT", str(port)).replace("UPSTREAM", upstream)
        with run_nginx(place, text, port):
            yield port


def ask(port, claims):
    """What the application takes the request for."""
    source = (CLIENT, 0)
    with closing(HTTPConnection("127.0.0.1", port, TIMEOUT, source_address=source)) as http:
        http.request("GET", "/reset/t", headers={"Host": "app.example", **claims})
        response = http.getresponse()
        assert response.status == 200
        return json.loads(response.read())


def ask_socket(port, claims):
    """The same for a WebSocket."""
    url = f"ws://127.0.0.1:{port}/socket"
    with connect(url, additional_headers=claims, open_timeout=TIMEOUT, proxy=None) as socket:
        return json.loads(socket.recv(TIMEOUT))


def test_by_default_no_claim_of_a_client_reaches_a_link(tmp_path):
    with served(tmp_path) as port:
        honest = ask(port, {})
        assert honest["link"] == "http://app.example/reset/t"
        assert (honest["client"], honest["root_path"]) == (CLIENT, "")
        for name, value in CLAIMS.items():
            assert ask(port, {name: value}) == honest, name
        assert ask(port, CLAIMS) == honest
        # What nginx does set: its own word counts, whatever the client sent.
        forged = {"X-Forwarded-For": "6.6.6.6, 127.0.0.1", "X-Forwarded-Proto": "https"}
        assert ask(port, forged | CLAIMS) == honest


def test_by_default_no_claim_of_a_client_reaches_a_websocket(tmp_path):
    with served(tmp_path) as port:
        honest = ask_socket(port, {})
        assert honest["url"] == f"ws://127.0.0.1:{port}/socket"
        for name, value in CLAIMS.items():
            assert ask_socket(port, {name: value}) == honest, name
        assert ask_socket(port, {"X-Forwarded-Proto": "wss", **CLAIMS}) == honest


def test_behind_a_proxy_that_sets_host_and_x_real_ip_only(tmp_path):
    with served(tmp_path, configuration=REAL_IP) as port:
        honest = ask(port, {})
        assert honest["link"] == "http://app.example/reset/t"
        for name, value in CLAIMS.items():
            assert ask(port, {name: value}) == honest, name


def test_a_proxy_that_sets_host_and_prefix_is_believed_where_they_are_named(tmp_path):
    sets = (
        "proxy_set_header X-Forwarded-Host shop.example;\n"
        "            proxy_set_header X-Forwarded-Prefix /shop;\n            proxy_redirect"
    )
    configuration = PLAIN.replace("proxy_redirect", sets)
    names = ("--forwarded-fields", "for,proto,host,prefix")
    with served(tmp_path, *names, configuration=configuration) as port:
        honest = ask(port, {})
        assert honest["link"] == "http://shop.example/shop/reset/t"
        assert (honest["client"], honest["root_path"]) == (CLIENT, "/shop")
        assert ask(port, CLAIMS) == honest


def test_where_no_field_is_believed_the_client_is_nginx(tmp_path):
    with served(tmp_path, "--forwarded-fields", "none") as port:
        told = ask(port, {"X-Forwarded-For": "6.6.6.6", **CLAIMS})
        assert told["client"] == "127.0.0.1"
        assert told["link"] == "http://app.example/reset/t"
