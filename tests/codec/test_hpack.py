"""HPACK: the Python twin, the C functions and the ``hpack`` library agree (RFC 7541)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hpack import Decoder, Encoder, HPACKDecodingError, OversizedHeaderListError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from katana_asgi import codec
from katana_asgi.codec import hpack as twin
from katana_asgi.codec import huffman
from katana_asgi.codec.hpack import (
    BAD_NAME,
    BAD_PSEUDO,
    BAD_VALUE,
    NAME_CODES,
    STATIC_TABLE,
    TOO_LARGE,
    encode_status,
)
from tests.codec.twins import NATIVE

USUAL = settings(deadline=None)

EXAMINED = frozenset({b"cookie", b"te", b"host", b"content-length"})

BACK_ENDS: dict[str, Any] = {"twin": (twin.decode_fields, twin.encode_fields)}
if NATIVE is not None:
    BACK_ENDS["native"] = (NATIVE.decode_fields, NATIVE.encode_fields)


class Reader:
    """A decoder with its table, as a connection has one."""

    def __init__(self, decode: Any, capacity: int = 4096) -> None:
        self._decode = decode
        self.entries: list[tuple[bytes, bytes]] = []
        self.size = 0
        self.capacity = capacity

    def __call__(self, block: bytes, max_size: int = 2**20, max_count: int = 10_000) -> Any:
        decoded = self._decode(
            block,
            STATIC_TABLE,
            EXAMINED,
            self.entries,
            self.size,
            self.capacity,
            4096,
            max_size,
            max_count,
        )
        self.size, self.capacity = decoded[5], decoded[6]
        assert self.size == sum(len(name) + len(value) + 32 for name, value in self.entries)
        assert self.size <= self.capacity
        return decoded


@pytest.fixture(params=BACK_ENDS)
def reader(request: pytest.FixtureRequest) -> Reader:
    return Reader(BACK_ENDS[request.param][0])


@pytest.fixture(params=BACK_ENDS)
def encode(request: pytest.FixtureRequest) -> Any:
    return BACK_ENDS[request.param][1]


def lines(text: str) -> list[tuple[bytes, bytes]]:
    return [
        (name, value) for name, _, value in (line.partition(b"=") for line in text.encode().split())
    ]


def test_the_static_table_is_that_of_the_rfc():
    assert [*HeaderTable.STATIC_TABLE] == [*STATIC_TABLE]


# RFC 7541 appendix C: three requests on one connection, without and with the Huffman code.
RFC_REQUESTS = {
    "C.3": [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    "C.4": [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
}


@pytest.mark.parametrize("section", RFC_REQUESTS)
def test_the_examples_of_the_rfc(reader, section):
    first, second, third = map(bytes.fromhex, RFC_REQUESTS[section])
    get = lines(":method=GET :scheme=http :path=/ :authority=www.example.com")
    assert reader(first)[0] == get
    assert reader(second)[0] == [*get, (b"cache-control", b"no-cache")]
    fields, pseudo, leading, special, fault, size, capacity = reader(third)
    assert fields == [
        *lines(":method=GET :scheme=https :path=/index.html :authority=www.example.com"),
        (b"custom-key", b"custom-value"),
    ]
    assert pseudo == (b"GET", b"https", b"www.example.com", b"/index.html", None)
    assert (leading, special, fault, size, capacity) == (4, [], 0, 164, 4096)
    assert reader.entries == [
        (b":authority", b"www.example.com"),
        (b"cache-control", b"no-cache"),
        (b"custom-key", b"custom-value"),
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([(b":method", b"GET"), (b":status", b"200")], BAD_PSEUDO),
        ([(b":method", b"GET"), (b":method", b"GET")], BAD_PSEUDO),
        ([(b"a", b"b"), (b":method", b"GET")], BAD_PSEUDO),
        ([(b":path", b"/ x")], BAD_PSEUDO),
        ([(b":path", b"/\xff")], BAD_PSEUDO),
        ([(b"", b"x")], BAD_NAME),
        ([(b"A", b"x")], BAD_NAME),
        ([(b"a b", b"x")], BAD_NAME),
        ([(b"a", b" x")], BAD_VALUE),
        ([(b"a", b"x\t")], BAD_VALUE),
        ([(b"a", b"x\ry")], BAD_VALUE),
        ([(b"a", b"x\0")], BAD_VALUE),
        ([(b"A", b"\0"), (b":bad", b"")], BAD_NAME),
        ([(b"a", b"\x80 \t!")], 0),
    ],
)
def test_the_first_fault_counts(reader, fields, fault):
    block = twin.encode_fields(fields, NAME_CODES)
    assert reader(block)[4] == fault


def test_every_byte_is_judged_alike(encode):
    readers = [Reader(decode) for decode, _ in BACK_ENDS.values()]
    for byte in range(256):
        one = bytes((byte,))
        for field in ((b"a" + one, b"v"), (b"a", b"v" + one + b"v"), (b":path", b"/" + one)):
            faults = {each(encode((field,), NAME_CODES))[4] for each in readers}
            assert len(faults) == 1


def test_fields_above_the_limit_are_dropped_and_enter_the_table_all_the_same(reader):
    block = b"".join(b"\x40\x01%c\x01v" % name for name in b"abcdef")
    fields, *_, fault, _, _ = reader(block, max_count=3)
    assert ([name for name, _ in fields], fault) == ([b"a", b"b", b"c"], TOO_LARGE)
    assert len(reader.entries) == 6
    fields, *_, fault, _, _ = reader(block, max_size=3 * 34)
    assert (len(fields), fault) == (3, TOO_LARGE)
    assert reader(block, max_size=6 * 34, max_count=6)[4] == 0


def test_what_is_to_be_examined_is_pointed_out(reader):
    block = twin.encode_fields(
        [(b":method", b"GET"), (b"cookie", b"a"), (b"x", b"y"), (b"te", b""), (b"cookie", b"b")],
        NAME_CODES,
    )
    assert reader(block)[3] == [1, 3, 4]


# -- against the library -----------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from([name for name, _ in STATIC_TABLE]),
    st.sampled_from([b"x-a", b"x-b", b"x-request-id", b"A", b""]),
    st.binary(max_size=12),
)
VALUES = st.one_of(
    st.sampled_from([b"GET", b"/", b"200", b"", b"gzip, deflate"]),
    st.binary(max_size=40),
    st.integers(100, 5000).map(lambda size: b"v" * size),
)
BLOCKS = st.lists(
    st.tuples(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8), st.booleans()),
    min_size=1,
    max_size=6,
)


@USUAL
@given(BLOCKS, st.lists(st.sampled_from([0, 40, 100, 1000, 4096]), max_size=6))
def test_what_the_library_encodes_comes_out_of_every_back_end(blocks, sizes):
    encoder = Encoder()
    readers = [Reader(decode) for decode, _ in BACK_ENDS.values()]
    for fields, huffman_coded in blocks:
        if sizes:
            encoder.header_table_size = sizes.pop()
        block = encoder.encode(fields, huffman=huffman_coded)
        first, *others = [each(block) for each in readers]
        assert others == [first] * len(others)
        assert all(each.entries == readers[0].entries for each in readers)
        assert readers[0].entries == [*encoder.header_table.dynamic_entries][::-1]
        if not first[4]:
            assert first[0] == [(name, value) for name, value, _ in fields]


def outcome(reader: Any, block: bytes) -> Any:
    try:
        return reader(block)
    except ValueError as error:
        return str(error)


@USUAL
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(
    [bytes.fromhex(block) for blocks in RFC_REQUESTS.values() for block in blocks]
)), min_size=1, max_size=4), st.integers(0, 300), st.integers(0, 5))  # fmt: skip
def test_any_bytes_fare_alike_in_every_back_end(blocks, max_size, max_count):
    readers = [Reader(decode) for decode, _ in BACK_ENDS.values()]
    for block in blocks:
        first, *others = [
            outcome(lambda data, each=each: each(data, max_size, max_count), block)
            for each in readers
        ]
        assert others == [first] * len(others)
        if isinstance(first, str):
            return
        assert all(each.entries == readers[0].entries for each in readers)


@USUAL
@given(st.binary(max_size=80))
def test_any_bytes_that_are_accepted_mean_what_the_library_reads(block):
    library = Decoder(max_header_list_size=2**20)
    library.max_allowed_table_size = 4096
    for decode, _ in BACK_ENDS.values():
        reader = Reader(decode)
        try:
            fields = reader(block)[0]
        except ValueError:
            return
        try:
            expected = library.decode(block, raw=True)
        except (HPACKDecodingError, OversizedHeaderListError):
            pytest.fail(f"the library refuses {block!r}")
        assert fields == [(bytes(n), bytes(v)) for n, v in expected][: len(fields)]
        library = Decoder(max_header_list_size=2**20)


# -- Huffman -----------------------------------------------------------------------------------

HUFFMAN = [huffman.decode_huffman, *([NATIVE.decode_huffman] if NATIVE is not None else [])]
_encode = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode


@USUAL
@given(st.binary(max_size=100))
def test_huffman_there_and_back(data):
    for decode in HUFFMAN:
        assert decode(_encode(data)) == data


def test_huffman_of_every_symbol_alone_and_of_long_strings():
    chance = random.Random(7541)
    cases = [bytes((symbol,)) for symbol in range(256)]
    cases += [chance.randbytes(size) for size in (1000, 3000, 20_000)] + [b"0" * 3000]
    for data in cases:
        for decode in HUFFMAN:
            assert decode(_encode(data)) == data


@USUAL
@given(st.binary(max_size=12))
def test_huffman_refuses_alike(data):
    def outcome(decode: Any) -> Any:
        try:
            return decode(data)
        except ValueError:
            return "refused"

    found = {outcome(decode) for decode in HUFFMAN}
    assert len(found) == 1
    (result,) = found
    if result != "refused":
        assert _encode(result) == data


# -- encoding ----------------------------------------------------------------------------------


@USUAL
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_what_is_encoded_is_what_the_library_reads_and_leaves_its_table_alone(fields):
    for _, encode in BACK_ENDS.values():
        decoder = Decoder(max_header_list_size=2**20)
        block = encode(tuple(fields), NAME_CODES)
        assert [(bytes(n), bytes(v)) for n, v in decoder.decode(block, raw=True)] == fields
        assert not decoder.header_table.dynamic_entries
        assert block == twin.encode_fields(fields, NAME_CODES)


@pytest.mark.parametrize("status", [100, 103, 200, 204, 206, 304, 400, 404, 418, 500, 599, 999])
def test_every_status_can_be_encoded(status):
    assert Decoder().decode(encode_status(status), raw=True) == [(b":status", b"%d" % status)]
    assert len(encode_status(200)) == 1


def test_credentials_are_never_indexed(encode):
    for name in (b"set-cookie", b"authorization", b"proxy-authorization"):
        assert encode(((name, b"x"),), NAME_CODES)[0] & 0xF0 == 0x10
    assert encode(((b"server", b"x"),), NAME_CODES)[0] & 0xF0 == 0


@pytest.mark.parametrize("fields", [[("a", b"b")], [(b"a",)], [b"ab"], [(b"a", b"b", b"c")], 7])
def test_native_functions_check_what_they_are_given(fields):
    if not codec.NATIVE:
        pytest.skip("not built")
    with pytest.raises(TypeError):
        NATIVE.encode_fields(fields, NAME_CODES)
    with pytest.raises(TypeError):
        NATIVE.decode_fields(b"", STATIC_TABLE, EXAMINED, fields)
    with pytest.raises(TypeError):
        NATIVE.decode_fields(b"\x20", STATIC_TABLE, EXAMINED, [7], 100, 4096, 4096, 9, 9)
    with pytest.raises(TypeError):
        NATIVE.decode_huffman("x")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\xff", id="an index without its rest"),
        pytest.param(b"\xff\x80", id="an index without its end"),
        pytest.param(b"\xff" + b"\xff" * 5 + b"\x7f", id="an index beyond 32 bits"),
        pytest.param(b"\xff" + b"\x80" * 6 + b"\x00", id="an index of zeros without end"),
        pytest.param(b"\x40", id="no name"),
        pytest.param(b"\x40\x01a", id="no value"),
        pytest.param(b"\x40\x03ab", id="half a name"),
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\xbe", id="an index behind the table"),
        pytest.param(b"\x3f\xe2\x1f", id="a capacity above the one announced"),
        pytest.param(b"\x82\x20", id="a capacity behind a field"),
        pytest.param(b"\x20\x82\x20", id="a second capacity behind a field"),
        pytest.param(b"\x00\x01a\x84\xff\xff\xff\xff", id="the end of the string in a code"),
        pytest.param(b"\x00\x01a\x81\x00", id="padding with zeros"),
        pytest.param(b"\x00\x01a\x82\x1f\xff", id="padding of more than seven bits"),
    ],
)
def test_a_block_that_is_cut_or_breaks_a_rule_is_refused(block: bytes, reader: Reader) -> None:
    with pytest.raises(ValueError):
        reader(block)


def test_capacities_may_change_before_the_first_field(reader: Reader) -> None:
    reader(b"\x40\x01a\x01b")
    assert reader.size == 34
    decoded = reader(b"\x20\x3f\xe1\x1f\x82")  # none, then 4096 again
    assert (reader.entries, reader.size, reader.capacity) == ([], 0, 4096)
    assert decoded[1][0] == b"GET"
    with pytest.raises(ValueError):
        reader(b"\xbe")
