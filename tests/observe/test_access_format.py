"""Formats of the access log: the names of gunicorn, presets, JSON, redaction, selection."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from records import head, line, record

from katana_asgi import Config
from katana_asgi.codec import check_fields
from katana_asgi.config.access_format import FIELDS
from katana_asgi.errors import ConfigurationError
from katana_asgi.observe.access import Selection
from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.access_values import Redaction
from katana_asgi.observe.record import head_without_fields

BASIC = (b"authorization", b"Basic YWxpY2U6c2VjcmV0")  # alice:secret
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

FULL = record(
    duration=1.25,
    head=head(
        b"/a%20b?x=1&token=hush",
        (b"host", b"example"),
        (b"user-agent", b'curl/8 "x"'),
        (b"referer", b"http://r/?token=hush"),
        (b"traceparent", TRACE),
        BASIC,
    ),
    status=404,
    fields=check_fields([(b"Content-Type", b"text/plain"), (b"x-a", b"1"), (b"x-a", b"2")]),
    sent=77,
    received=5,
    request_id="abc",
    cache="hit",
)


@pytest.mark.parametrize(
    ("atom", "value"),
    [
        ("%(h)s", "127.0.0.1"),
        ("%(l)s", "-"),
        ("%(u)s", "alice"),
        ("%(r)s", "GET /a%20b?x=1&token=hush HTTP/1.1"),
        ("%(m)s", "GET"),
        ("%(U)s", "/a%20b"),
        ("%(q)s", "x=1&token=hush"),
        ("%(H)s", "HTTP/1.1"),
        ("%(s)s", "404"),
        ("%(b)s", "77"),
        ("%(B)s", "77"),
        ("%(f)s", "http://r/?token=hush"),
        ("%(a)s", "curl/8 \\x22x\\x22"),
        ("%(T)s", "1"),
        ("%(M)s", "1250"),
        ("%(D)s", "1250000"),
        ("%(L)s", "1.250000"),
        ("%({Host}i)s", "example"),
        ("%({x-none}i)s", "-"),
        ("%({content-type}o)s", "text/plain"),
        ("%({X-A}o)s", "1, 2"),
        ("%({KATANA_TEST_LOGGED}e)s", "from the environment"),
        ("%(request_id)s", "abc"),
        ("%(trace_id)s", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("%(cache)s", "hit"),
        ("%(client)s", "127.0.0.1:4711"),
        ("%(bytes_in)s %(bytes_out)s", "5 77"),
        ("100%% {%(s)s}", "100% {404}"),
        ("'%(s)s\"", "'404\""),
    ],
)
def test_each_name_has_its_value(atom, value, monkeypatch):
    monkeypatch.setenv("KATANA_TEST_LOGGED", "from the environment")
    assert line(FULL, atom) == value


def test_the_process_is_named_as_gunicorn_does():
    assert line(FULL, "%(p)s %(pid)s") == f"<{os.getpid()}> {os.getpid()}"


def test_what_is_not_known_is_a_dash():
    bare = record(client=None, head=head(b"/"))
    form = "%(h)s %(u)s %(b)s %(f)s %(a)s %({x}i)s %({x}o)s %(request_id)s %(trace_id)s [%(q)s]"
    assert line(bare, form) == "- - - - - - - - - []"
    assert line(bare, "%(cache)s") == "-"


def test_the_time_of_day_is_when_the_request_ended():
    made = line(record(), "%(t)s|%(time)s")
    local, _, utc = made.partition("|")
    moment = datetime.strptime(local, "[%d/%b/%Y:%H:%M:%S %z]")
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(utc)) < timedelta(minutes=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc)


def test_the_presets_are_what_log_analysers_read():
    made = line(FULL, "combined")
    assert re.fullmatch(
        r'127\.0\.0\.1 - alice \[[^]]+\] "GET \S+ HTTP/1\.1" 404 77 "http://r/\S+" "curl/8 \S+"',
        made,
    )
    assert made.startswith(line(FULL, "common"))


def test_json_is_one_object_with_numbers_as_numbers():
    entry = json.loads(line(FULL, "json"))
    assert datetime.fromisoformat(entry.pop("time"))
    assert entry == {
        "request_id": "abc",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "client": "127.0.0.1:4711",
        "method": "GET",
        "target": "/a%20b?x=1&token=hush",
        "protocol": "HTTP/1.1",
        "status": 404,
        "duration": 1.25,
        "bytes_in": 5,
        "bytes_out": 77,
        "messages_in": None,
        "messages_out": None,
        "tls": False,
        "pid": os.getpid(),
        "remark": None,
    }


def test_json_holds_whatever_a_client_sent():
    data = bytes(range(1, 256))
    made = line(record(head=head(b"/", (b"user-agent", data))), "json", ["user_agent"])
    assert made.isascii()
    assert "\n" not in made
    assert json.loads(made)["user_agent"] == data.decode("utf-8", "backslashreplace")


def test_json_has_the_fields_asked_for_in_their_order():
    made = line(FULL, "json", ["status", "{x-a}o", "h", "tls", "t", "b"])
    assert list(json.loads(made)) == ["status", "{x-a}o", "h", "tls", "t", "b"]


def test_every_name_can_be_had_in_text_and_in_json():
    for name in (*"hlutrmUqHsbBfaTDMLp", *FIELDS):
        assert line(FULL, f"%({name})s")
        assert list(json.loads(line(FULL, "json", [name]))) == [name]


# -- secrets


def test_redacted_fields_and_parameters_never_reach_a_line():
    redaction = Redaction(["Authorization", "x-a"], ["token"])
    form = "%(r)s %(q)s %(f)s %(target)s %({authorization}i)s %({x-a}o)s %(u)s"
    made = line(FULL, form, [], redaction)
    assert "hush" not in made
    assert "YWxp" not in made
    assert made.count("token=[redacted]") == 4
    assert "x=1" in made
    assert made.endswith("[redacted] [redacted] alice")
    assert "hush" not in line(FULL, "json", ["target", "query", "referer", "r"], redaction)


def test_a_parameter_is_redacted_whatever_its_place_and_case():
    redaction = Redaction((), ["token", "a.b"])
    for query in ("token=x", "TOKEN=x", "z=1;token=x", "a.b=x&token=", "token=x&token=y"):
        made = line(record(b"/?" + query.encode()), "%(q)s", [], redaction)
        assert "=x" not in made
        assert "=y" not in made
    assert line(record(b"/?mytoken=1&aXb=2"), "%(q)s", [], redaction) == "mytoken=1&aXb=2"


# -- selection


def test_a_sample_is_spread_evenly_and_leaves_errors_in():
    selection = Selection(0.25)
    fine = [selection(record(status=200)) for _ in range(100)]
    assert sum(fine) == 25
    assert fine[:8] == [False, False, False, True] * 2
    assert all(selection(record(status=status)) for status in (400, 404, 499, 500))


def test_excluded_paths_have_no_line():
    selection = Selection(1.0, ("/healthz", "/static/*"))
    logged = {path: selection(record(path)) for path in (b"/healthz?x", b"/healthz/", b"/static/a")}
    assert logged == {b"/healthz?x": False, b"/healthz/": True, b"/static/a": False}
    assert not Selection(0.0)(record())


def test_lines_of_one_field_are_joined_and_none_is_taken_from_another_request():
    form = AccessFormat("%({x-a}i)s %({user-agent}i)s")
    agent = (b"user-agent", b"u")
    heads = [head(b"/", (b"x-a", b"1"), agent, (b"x-a", b"2")), head(b"/", agent), head(b"/")]
    made = [form.line(*record(head=each)) for each in heads]
    assert made == ["1, 2 u", "- u", "- -"]


# -- WebSockets


def test_the_line_of_a_websocket_needs_no_fields_of_its_head():
    slim = head_without_fields(head(b"/chat?x", (b"user-agent", b"u")))
    assert slim.fields == []
    given = record(head=slim, status=101, duration=2.5, remark="closed 1000",
                   messages=(3, 4, 2.5), received=10, sent=20)  # fmt: skip
    assert line(given) == (
        '127.0.0.1:4711 - "WebSocket /chat?x HTTP/1.1" 101 Switching Protocols '
        "(closed 1000 after 2.500s, in 3 messages 10 bytes, out 4 messages 20 bytes)"
    )
    entry = json.loads(line(given, "json"))
    assert (entry["messages_in"], entry["messages_out"], entry["remark"]) == (3, 4, "closed 1000")


# -- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_log_format": "%(nonsense)s"}, "nonsense"),
        ({"access_log_format": "%(h)"}, "%(h)"),
        ({"access_log_format": "100%"}, "%%"),
        ({"access_log_format": "combine"}, "combined"),
        ({"access_log_format": "%(h)s\n"}, "one line"),
        ({"access_log_fields": ("h", "what")}, "what"),
        ({"access_log_fields": ("h",), "access_log_format": "common"}, "json"),
        ({"access_log_sample": 1.5}, "0 to 1"),
        ({"access_log_exclude": ("healthz",)}, "/healthz"),
        ({"access_log_exclude": ("/a*b",)}, "/static/*"),
        ({"access_log_file": "/nowhere/at/all"}, "No such file"),
        ({"access_log_file": "syslog://"}, "syslog://HOST:PORT"),
        ({"access_log_file": "syslog://h:0"}, "syslog://HOST:PORT"),
        ({"access_log_redact_query": ("a b",)}, "a b"),
        ({"log_config": "logging.txt"}, ".json"),
    ],
)
def test_settings_that_cannot_be_had_say_why(settings, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Config(app="a:b", **settings)
