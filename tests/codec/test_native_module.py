"""The C module as a module: it keeps nothing, survives without memory, is one an interpreter."""

from __future__ import annotations

import gc
import subprocess
import sys
import sysconfig
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from katana_asgi import codec
from tests.codec.twins import NATIVE, native_only
from tests.support import ROOT

pytestmark = native_only

LIMITS = (1000, 8000, 64)
HEAD = (
    b"POST /a/%C3%A4?b HTTP/1.1\r\nHost: [::1]:80\r\nX-Forwarded-For: 192.0.2.1\r\nX-Mine: y\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n" + b"x" * 80 + b": long\r\n\r\n"
)
FIELDS = NATIVE and NATIVE.check_fields([(b"A", b" b"), [b"content-length", b"3000"]])

CALLS = {
    "a head": lambda: NATIVE.scan_head(HEAD, *LIMITS),
    "a head that ends in an error": lambda: NATIVE.scan_head(HEAD[:-2] + b"\0\r\n\r\n", *LIMITS),
    "a head and more": lambda: NATIVE.scan_next(HEAD + b"GET", 0, *LIMITS),
    "a head over a limit": lambda: NATIVE.scan_head(HEAD, 1000, 8000, 3),
    "a long path": lambda: NATIVE.scan_head(HEAD.replace(b"/a", b"/" + b"%41" * 200), *LIMITS),
    "a constructed head": lambda: NATIVE.RequestHead(*[object()] * 11),
    "a field": lambda: NATIVE.field_value([(b"a", b"b" * 99), (b"a", b"c")], b"a"),
    "plain text": lambda: NATIVE.printable(b"x" * 99),
    "headers": lambda: NATIVE.check_fields([(b"A", b" b"), [b"content-length", b"3000"]]),
    "wrong headers": lambda: NATIVE.check_fields([(b"A", b" b"), (b"a", b"b"), (b"c", 1)]),
    "constructed fields": lambda: NATIVE.ResponseFields(((b"a", b"b"),), 3000, 1, True),
    "fields in a circle": lambda: setattr(made := NATIVE.ResponseFields(), "wire", [made]),
    "a response": lambda: NATIVE.render_head(b"HTTP/1.1 200 OK\r\n", FIELDS, 3, b"\r\n", b"abc"),
    "a node": lambda: NATIVE.parse_node(b"[2001:db8::1]:4711"),
    "no node": lambda: NATIVE.parse_node(b"[2001:db8::1]:x"),
    "a mask": lambda: NATIVE.mask(memoryview(b"0123456789abc"), b"abcd"),
    "a wrong mask": lambda: suppressed(NATIVE.mask, b"x", b"abc"),
}


def suppressed(call, *arguments):
    with suppress(ValueError):
        call(*arguments)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_leaves_nothing_behind(call):
    def repeat():
        for _ in range(500):
            call()
        gc.collect()
        return sys.getallocatedblocks()

    repeat()
    before = repeat()
    assert repeat() - before < 100


def test_a_head_keeps_what_it_was_given_and_no_more():
    value = object()
    before = sys.getrefcount(value)
    head = NATIVE.RequestHead(*[value] * 11)
    assert sys.getrefcount(value) == before + 11
    assert gc.is_tracked(head)
    del head
    assert sys.getrefcount(value) == before


WITHOUT_MEMORY = """
import _testcapi, gc
from tests.codec.test_native_module import CALLS
for name, call in CALLS.items():
    for allocation in range(1, 60):
        _testcapi.set_nomemory(allocation, allocation + 1)
        try:
            call()
        except MemoryError:
            pass
        finally:
            _testcapi.remove_mem_hooks()
    gc.collect()
print("alive")
"""


@pytest.mark.skipif(find_spec("_testcapi") is None, reason="this Python cannot run out of memory")
def test_running_out_of_memory_is_an_exception():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "alive\n", done.stderr


IN_INTERPRETERS = """
import importlib.util
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

code = '''
import importlib.util
spec = importlib.util.spec_from_file_location("_native", {path!r})
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)
head, framing = native.scan_head(b"GET / HTTP/1.1\\\\r\\\\nHost: a\\\\r\\\\n\\\\r\\\\n", 99, 99, 9)
assert (head.method, head.fields, framing) == ("GET", [(b"host", b"a")], 1)
kept = native.check_fields([(b"a", b"b")])
kept.wire = kept
'''
for _ in range(3):
    interpreter = interpreters.create()
    assert not interpreters.run_string(interpreter, code)
    interpreters.destroy(interpreter)
exec(code)
exec(code)
print("done")
"""


def test_every_interpreter_has_its_own():
    script = IN_INTERPRETERS.replace("{path!r}", repr(NATIVE.__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def test_the_codec_uses_it():
    assert codec.NATIVE
    assert codec.RequestHead is NATIVE.RequestHead
    assert codec.mask is NATIVE.mask


def test_it_was_built_from_the_sources_beside_it():
    built = Path(NATIVE.__file__)
    sources = [*built.parent.glob("*.c"), *built.parent.glob("*.h")]
    newest = max(source.stat().st_mtime for source in sources)
    assert built.stat().st_mtime >= newest, "python hatch_build.py builds it again"
    assert built.name == f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
