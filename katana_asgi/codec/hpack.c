/* Field compression for HTTP/2 (RFC 7541): hpack.py.

   Nothing is kept between calls. The static table, the names to be examined and the dynamic table
   are Python objects of the caller; the dynamic table is a list of (name, value), oldest first.
   Faults of the peer raise ValueError with the same words as the twin. */

#include "native.h"

enum { TOO_LARGE = 1, BAD_NAME, BAD_VALUE, BAD_PSEUDO };

#define PSEUDO_FIELDS 5
#define ENTRY_OVERHEAD 32 /* RFC 7541 §4.1 */
#define LARGEST_INTEGER ((1 << 28) - 1)

/* Bits of a byte: may stand in a name, in a value, in the value of a pseudo-field. */
enum { NAME = 1, VALUE = 2, VISIBLE = 4 };

#define V2(a) a, a
#define V4(a) V2(a), V2(a)
#define V8(a) V4(a), V4(a)
#define V16(a) V8(a), V8(a)
#define V32(a) V16(a), V16(a)
static const unsigned char KINDS[256] = {
    V8(0), 0, 2, V2(0), V4(0), V16(0),        /* control bytes but HTAB */
    2, 7, 6, V4(7), 7,                        /* SP ! " # $ % & ' */
    V2(6), V2(7), 6, V2(7), 6,                /* ( ) * + , - . / */
    V8(7), V2(7), V2(6), V4(6),               /* 0-9 : ; < = > ? */
    V16(6), V8(6), V2(6), 6, V2(6), 6, V2(7), /* @ A-Z [ \ ] ^ _ */
    V16(7), V8(7), V2(7), 7, 6, 7, 6, 7, 0,   /* ` a-z { | } ~ DEL */
    V32(2), V32(2), V32(2), V32(2),           /* obs-text */
};

static int
all_of(const unsigned char *bytes, Py_ssize_t size, unsigned char kind)
{
    unsigned char common = kind;
    for (Py_ssize_t i = 0; i < size; i++)
        common &= KINDS[bytes[i]];
    return common != 0;
}

static int
fault(const char *reason)
{
    PyErr_SetString(PyExc_ValueError, reason);
    return -1;
}

/* -- the Huffman code --------------------------------------------------------------------- */

/* RFC 7541 appendix B is a canonical code: codes of one length are consecutive numbers in the
   order of their symbols, and longer codes go on where shorter ones ended. So the length of the
   next code follows from comparing the next 32 bits with where each length ends. */
static const unsigned char SYMBOLS[256] =
    "012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>"
    "\x00$@[]~^}<`{\\\xc3\xd0\x80\x82\x83\xa2\xb8\xc2\xe0\xe2\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8"
    "\xd9\xe3\xe5\xe6\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb"
    "\xbd\xbe\xc4\xc6\xe4\xe8\xe9\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e"
    "\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1"
    "\xec\xed\xc7\xcf\xea\xeb\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff\xcb\xcc"
    "\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe\x02\x03\x04\x05\x06\x07"
    "\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9"
    "\n\r\x16";

/* For each length: its codes lie below `end`, the first is `code`, the symbol of that `symbol`;
   codes are aligned to the left of 32 bits. The last of 30 bits is EOS. */
static const struct {
    uint32_t end, code;
    unsigned char bits, symbol;
} LENGTHS[] = {
    {0x50000000, 0x00000000, 5, 0},     {0xb8000000, 0x50000000, 6, 10},
    {0xf8000000, 0xb8000000, 7, 36},    {0xfe000000, 0xf8000000, 8, 68},
    {0xff400000, 0xfe000000, 10, 74},   {0xffa00000, 0xff400000, 11, 79},
    {0xffc00000, 0xffa00000, 12, 82},   {0xfff00000, 0xffc00000, 13, 84},
    {0xfff80000, 0xfff00000, 14, 90},   {0xfffe0000, 0xfff80000, 15, 92},
    {0xfffe6000, 0xfffe0000, 19, 95},   {0xfffee000, 0xfffe6000, 20, 98},
    {0xffff4800, 0xfffee000, 21, 106},  {0xffffb000, 0xffff4800, 22, 119},
    {0xffffea00, 0xffffb000, 23, 145},  {0xfffff600, 0xffffea00, 24, 174},
    {0xfffff800, 0xfffff600, 25, 186},  {0xfffffbc0, 0xfffff800, 26, 190},
    {0xfffffe20, 0xfffffbc0, 27, 205},  {0xfffffff0, 0xfffffe20, 28, 224},
    {0xfffffffc, 0xfffffff0, 30, 253},
};
#define FEWEST_BITS 5
#define SHORT_STRING 1024

/* Decode into `out`, which has room for 8 symbols for each 5 bytes; returns their number or -1. */
static Py_ssize_t
huffman(const unsigned char *data, Py_ssize_t size, unsigned char *out)
{
    const unsigned char *end = data + size;
    unsigned char *to = out;
    uint64_t pending = 0; /* the next bits, at the left; ones are not shifted in */
    int count = 0;
    for (;;) {
        while (count <= 56 && data < end) {
            pending |= (uint64_t)*data++ << (56 - count);
            count += 8;
        }
        uint32_t next = (uint32_t)(pending >> 32);
        if (count < 32) /* near the end: what is missing are ones, as in padding */
            next |= 0xffffffffu >> count;
        int row = 0;
        while (next >= LENGTHS[row].end) {
            if (next >= 0xfffffffcu) { /* nothing but ones */
                if (count < 8)
                    return to - out;
                return fault(count < 30 ? "wrong padding of a Huffman code"
                                        : "end-of-string symbol in a Huffman code");
            }
            row++;
        }
        int bits = LENGTHS[row].bits;
        if (bits > count)
            return fault("wrong padding of a Huffman code");
        *to++ = SYMBOLS[LENGTHS[row].symbol + ((next - LENGTHS[row].code) >> (32 - bits))];
        pending <<= bits;
        count -= bits;
    }
}

static PyObject *
huffman_bytes(const unsigned char *data, Py_ssize_t size)
{
    unsigned char few[SHORT_STRING * 8 / FEWEST_BITS + 1];
    unsigned char *out = size <= SHORT_STRING ? few : PyMem_Malloc(size * 8 / FEWEST_BITS + 1);
    if (out == NULL)
        return PyErr_NoMemory();
    Py_ssize_t length = huffman(data, size, out);
    PyObject *result =
        length < 0 ? NULL : PyBytes_FromStringAndSize((const char *)out, length);
    if (out != few)
        PyMem_Free(out);
    return result;
}

PyObject *
decode_huffman(PyObject *Py_UNUSED(module), PyObject *data)
{
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "decode_huffman() takes bytes");
        return NULL;
    }
    return huffman_bytes((const unsigned char *)PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
}

/* -- the primitives ------------------------------------------------------------------------- */

typedef struct {
    const unsigned char *at, *end;
} Cursor;

/* RFC 7541 §5.1: an integer that begins in the low bits of `first`; -1 is a fault. */
static int32_t
integer(Cursor *cursor, unsigned char first, unsigned char mask)
{
    uint64_t value = first & mask;
    if (value < mask)
        return (int32_t)value;
    for (int shift = 0; shift < 35; shift += 7) {
        if (cursor->at == cursor->end)
            return fault("truncated header block");
        unsigned char more = *cursor->at++;
        value += (uint64_t)(more & 127) << shift;
        if (value > LARGEST_INTEGER)
            break;
        if (more < 128)
            return (int32_t)value;
    }
    return fault("integer too large in a header block");
}

/* RFC 7541 §5.2. */
static PyObject *
string(Cursor *cursor)
{
    if (cursor->at == cursor->end) {
        fault("truncated header block");
        return NULL;
    }
    unsigned char first = *cursor->at++;
    int32_t size = integer(cursor, first, 127);
    if (size < 0)
        return NULL;
    if (size > cursor->end - cursor->at) {
        fault("truncated string in a header block");
        return NULL;
    }
    const unsigned char *data = cursor->at;
    cursor->at += size;
    if (first & 128)
        return huffman_bytes(data, size);
    return PyBytes_FromStringAndSize((const char *)data, size);
}

/* Name and value of a field, borrowed; the caller's objects are checked before they are used. */
static int
unpack(PyObject *field, PyObject **name, PyObject **value)
{
    if (!PyTuple_Check(field) || PyTuple_GET_SIZE(field) != 2) {
        PyErr_SetString(PyExc_TypeError, "a field is a tuple of name and value");
        return -1;
    }
    *name = PyTuple_GET_ITEM(field, 0);
    *value = PyTuple_GET_ITEM(field, 1);
    if (!PyBytes_Check(*name) || !PyBytes_Check(*value)) {
        PyErr_SetString(PyExc_TypeError, "names and values are bytes");
        return -1;
    }
    return 0;
}

static Py_ssize_t
entry_size(PyObject *name, PyObject *value)
{
    return PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + ENTRY_OVERHEAD;
}

/* -- the tables ----------------------------------------------------------------------------- */

typedef struct {
    PyObject *fixed, *entries;
    Py_ssize_t size, capacity;
} Table;

/* The entry with an index, a new reference (RFC 7541 §2.3.3). */
static PyObject *
find(const Table *table, Py_ssize_t index)
{
    Py_ssize_t fixed = PyTuple_GET_SIZE(table->fixed);
    if (1 <= index && index <= fixed)
        return Py_NewRef(PyTuple_GET_ITEM(table->fixed, index - 1));
    Py_ssize_t count = PyList_GET_SIZE(table->entries);
    if (fixed < index && index <= fixed + count)
        return PyList_GetItemRef(table->entries, fixed + count - index);
    fault("index outside the header table");
    return NULL;
}

/* RFC 7541 §4.3. */
static int
shrink(Table *table, Py_ssize_t size)
{
    Py_ssize_t evicted = 0;
    PyObject *name, *value;
    while (table->size > size && evicted < PyList_GET_SIZE(table->entries)) {
        if (unpack(PyList_GET_ITEM(table->entries, evicted), &name, &value) < 0)
            return -1;
        table->size -= entry_size(name, value);
        evicted++;
    }
    return evicted ? PyList_SetSlice(table->entries, 0, evicted, NULL) : 0;
}

/* RFC 7541 §4.4. */
static int
insert(Table *table, PyObject *field, Py_ssize_t size)
{
    if (shrink(table, table->capacity - size) < 0)
        return -1;
    if (size > table->capacity)
        return 0;
    table->size += size;
    return PyList_Append(table->entries, field);
}

/* -- fields --------------------------------------------------------------------------------- */

typedef struct {
    PyObject *examined, *fields, *special;
    PyObject *values[PSEUDO_FIELDS]; /* borrowed from fields */
    Py_ssize_t left, max_count, leading;
    int fault, begun;
} Found;

static int
pseudo_number(const char *name, Py_ssize_t size)
{
    static const char *const PSEUDO[PSEUDO_FIELDS] = {":method", ":scheme", ":authority",
                                                      ":path", ":protocol"};
    for (int i = 0; i < PSEUDO_FIELDS; i++)
        if ((size_t)size == strlen(PSEUDO[i]) && memcmp(name, PSEUDO[i], size) == 0)
            return i;
    return -1;
}

static int
is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t';
}

static int
fault_of(Found *found, PyObject *name, PyObject *value)
{
    const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(name);
    const unsigned char *content = (const unsigned char *)PyBytes_AS_STRING(value);
    Py_ssize_t length = PyBytes_GET_SIZE(name), size = PyBytes_GET_SIZE(value);
    if (text[0] == ':') {
        int number = pseudo_number((const char *)text, length);
        if (number < 0 || found->values[number] != NULL || !all_of(content, size, VISIBLE) ||
            found->leading != PyList_GET_SIZE(found->fields))
            return BAD_PSEUDO;
        found->values[number] = value;
        found->leading++;
        return 0;
    }
    if (length == 0 || !all_of(text, length, NAME))
        return BAD_NAME;
    if (!all_of(content, size, VALUE) ||
        (size && (is_blank(content[0]) || is_blank(content[size - 1]))))
        return BAD_VALUE;
    return 0;
}

/* Note a field; behind a fault nothing is kept. */
static int
keep(Found *found, PyObject *field)
{
    PyObject *name, *value;
    found->begun = 1;
    if (found->fault)
        return 0;
    if (unpack(field, &name, &value) < 0)
        return -1;
    found->left -= entry_size(name, value);
    if (found->left < 0 || PyList_GET_SIZE(found->fields) >= found->max_count) {
        found->fault = TOO_LARGE;
        return 0;
    }
    found->fault = fault_of(found, name, value);
    int is_special = PySet_Contains(found->examined, name);
    if (is_special < 0)
        return -1;
    if (is_special) {
        PyObject *index = PyLong_FromSsize_t(PyList_GET_SIZE(found->fields));
        if (index == NULL)
            return -1;
        int failed = PyList_Append(found->special, index);
        Py_DECREF(index);
        if (failed)
            return -1;
    }
    return PyList_Append(found->fields, field);
}

/* RFC 7541 §6.2: a literal field, whose name may have an index. */
static int
literal(Cursor *cursor, Table *table, Found *found, unsigned char first)
{
    int indexed = first & 0x40;
    int32_t index = integer(cursor, first, indexed ? 0x3f : 0x0f);
    if (index < 0)
        return -1;
    PyObject *name, *value, *field = NULL;
    if (index) {
        PyObject *entry = find(table, index);
        if (entry == NULL)
            return -1;
        int failed = unpack(entry, &name, &value) < 0;
        if (!failed)
            Py_INCREF(name);
        Py_DECREF(entry);
        if (failed)
            return -1;
    } else if ((name = string(cursor)) == NULL)
        return -1;
    value = string(cursor);
    if (value != NULL)
        field = PyTuple_Pack(2, name, value);
    int failed = field == NULL;
    if (!failed && indexed)
        failed = insert(table, field, entry_size(name, value)) < 0;
    if (!failed)
        failed = keep(found, field) < 0;
    Py_DECREF(name);
    Py_XDECREF(value);
    Py_XDECREF(field);
    return failed ? -1 : 0;
}

static int
decode(Cursor *cursor, Table *table, Found *found, Py_ssize_t ceiling)
{
    while (cursor->at < cursor->end) {
        unsigned char first = *cursor->at++;
        if (first & 0x80) { /* §6.1 */
            int32_t index = integer(cursor, first, 0x7f);
            PyObject *field = index < 0 ? NULL : find(table, index);
            int failed = field == NULL || keep(found, field) < 0;
            Py_XDECREF(field);
            if (failed)
                return -1;
        } else if ((first & 0xe0) == 0x20) { /* §6.3 */
            int32_t capacity = integer(cursor, first, 0x1f);
            if (capacity < 0)
                return -1;
            if (capacity > ceiling || found->begun)
                return fault("dynamic table size update where none is allowed");
            table->capacity = capacity;
            if (shrink(table, capacity) < 0)
                return -1;
        } else if (literal(cursor, table, found, first) < 0)
            return -1;
    }
    return 0;
}

static PyObject *
result_of(const Found *found, const Table *table)
{
    PyObject *const *values = found->values;
#define OR_NONE(value) ((value) ? (value) : Py_None)
    return Py_BuildValue("O(OOOOO)nOinn", found->fields, OR_NONE(values[0]), OR_NONE(values[1]),
                         OR_NONE(values[2]), OR_NONE(values[3]), OR_NONE(values[4]),
                         found->leading, found->special, found->fault, table->size,
                         table->capacity);
#undef OR_NONE
}

PyObject *
decode_fields(PyObject *Py_UNUSED(module), PyObject *const *args,
                               Py_ssize_t count)
{
    if (count != 9 || !PyBytes_Check(args[0]) || !PyTuple_Check(args[1]) ||
        !PyFrozenSet_Check(args[2]) || !PyList_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "decode_fields() takes bytes, a tuple, a frozenset, a "
                                         "list and five integers");
        return NULL;
    }
    Py_ssize_t numbers[5];
    for (int i = 0; i < 5; i++) {
        numbers[i] = PyLong_AsSsize_t(args[4 + i]);
        if (numbers[i] == -1 && PyErr_Occurred())
            return NULL;
    }
    const unsigned char *block = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    Cursor cursor = {block, block + PyBytes_GET_SIZE(args[0])};
    Table table = {args[1], args[3], numbers[0], numbers[1]};
    Found found = {.examined = args[2], .left = numbers[3], .max_count = numbers[4]};
    found.fields = PyList_New(0);
    found.special = PyList_New(0);
    PyObject *result = NULL;
    if (found.fields != NULL && found.special != NULL &&
        decode(&cursor, &table, &found, numbers[2]) == 0)
        result = result_of(&found, &table);
    Py_XDECREF(found.fields);
    Py_XDECREF(found.special);
    return result;
}

/* -- encoding ------------------------------------------------------------------------------- */

#define LONGEST_LENGTH 6 /* bytes of an integer with a prefix of 7 bits */

static unsigned char *
put_length(unsigned char *to, Py_ssize_t length)
{
    if (length < 127) {
        *to++ = (unsigned char)length;
        return to;
    }
    *to++ = 127;
    for (length -= 127; length >= 128; length >>= 7)
        *to++ = (unsigned char)(length & 127) | 128;
    *to++ = (unsigned char)length;
    return to;
}

static unsigned char *
put(unsigned char *to, PyObject *bytes)
{
    memcpy(to, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    return to + PyBytes_GET_SIZE(bytes);
}

/* How the name of a field begins, borrowed; Py_None: it is not in the static table. */
static PyObject *
name_code(PyObject *codes, PyObject *name)
{
    if (!PyBytes_CheckExact(name)) /* no code of a subclass is run between the two passes */
        return Py_None;
    PyObject *code = PyDict_GetItemWithError(codes, name);
    if (code == NULL)
        return PyErr_Occurred() ? NULL : Py_None;
    if (!PyBytes_Check(code)) {
        PyErr_SetString(PyExc_TypeError, "a code is bytes");
        return NULL;
    }
    return code;
}

/* What the fields need at most; -1 with an exception. */
static Py_ssize_t
room(PyObject *fields, PyObject *codes)
{
    Py_ssize_t total = 0;
    PyObject *name, *value;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        if (unpack(PyTuple_GET_ITEM(fields, i), &name, &value) < 0)
            return -1;
        PyObject *code = name_code(codes, name);
        if (code == NULL)
            return -1;
        total += PyBytes_GET_SIZE(code == Py_None ? name : code) + PyBytes_GET_SIZE(value);
        total += 1 + 2 * LONGEST_LENGTH;
    }
    return total;
}

PyObject *
encode_fields(PyObject *Py_UNUSED(module), PyObject *const *args,
                               Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "encode_fields() takes fields and a dictionary");
        return NULL;
    }
    PyObject *fields = PySequence_Tuple(args[0]); /* cannot change while it is being read */
    Py_ssize_t size = fields == NULL ? -1 : room(fields, args[1]);
    PyObject *result = size < 0 ? NULL : PyBytes_FromStringAndSize(NULL, size);
    if (result == NULL) {
        Py_XDECREF(fields);
        return NULL;
    }
    unsigned char *start = (unsigned char *)PyBytes_AS_STRING(result), *to = start;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *field = PyTuple_GET_ITEM(fields, i);
        PyObject *name = PyTuple_GET_ITEM(field, 0), *value = PyTuple_GET_ITEM(field, 1);
        PyObject *code = name_code(args[1], name);
        if (code == Py_None) {
            *to++ = 0;
            to = put_length(to, PyBytes_GET_SIZE(name));
            code = name;
        }
        to = put(to, code);
        to = put_length(to, PyBytes_GET_SIZE(value));
        to = put(to, value);
    }
    Py_DECREF(fields);
    _PyBytes_Resize(&result, to - start);
    return result;
}
