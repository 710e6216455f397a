/* What the files of the module share. Each function of the module has a twin in Python that says
   what is right; docs/decisions/codec.md has the rules for C. */

#ifndef KATANA_ASGI_NATIVE_H
#define KATANA_ASGI_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if PY_VERSION_HEX < 0x030D0000
static inline PyObject *
PyList_GetItemRef(PyObject *list, Py_ssize_t index)
{
    return Py_XNewRef(PyList_GetItem(list, index));
}
#endif

/* Most field lines that C takes, in one head or one response: they wait on the stack until their
   number is known. More are the twin's. */
#define MAX_FIELDS 256

/* What a field name means for the server. */
enum kind {
    PLAIN,
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    EXPECT,
    UPGRADE,
    FORWARDED,
    DATE,
    SERVER,
    TE,
    HOP_BY_HOP, /* other connection-specific fields, which no response may have */
};

/* FAILED: out of memory, and an exception is set. */
enum outcome { DONE, DECLINED, FAILED };

struct name {
    const char *text;
    enum kind kind;
};

extern const struct name NAMES[]; /* ends with a NULL text */

#define NAME_SLOTS 512 /* a power of two, several times the number of names */
#define METHOD_COUNT 7

typedef struct {
    PyTypeObject *head_type;
    PyTypeObject *fields_type;
    PyObject *methods[METHOD_COUNT];
    PyObject *version_1_0;
    PyObject *version_1_1;
    PyObject *http;
    PyObject *https;
    PyObject *empty_bytes;
    PyObject *empty_string;
    PyObject *no_indexes;
    struct {
        PyObject *object; /* the interned name, or NULL */
        enum kind kind;
    } names[NAME_SLOTS];
} State;

static inline State *
state_of(PyObject *module)
{
    return (State *)PyModule_GetState(module);
}

/* grammar.c */

/* The lower-case form of each byte that may stand in a token (RFC 9110 §5.6.2), else 0. */
extern const unsigned char TOKEN_LOWER[256];

/* Where the first byte stands that no field value may have: a control other than HTAB. */
const char *skip_value(const char *at, const char *end);
/* Whether the text is `uri-host [ ":" port ]`; is_valid_host. */
int is_valid_host(const char *text, Py_ssize_t size);
/* Whether the texts are equal but for case; `lower` is lower-case. */
int equals_folded(const char *text, Py_ssize_t size, const char *lower);
/* Cuts the next non-empty member of a comma-separated list off; 0 where there is none. */
int next_member(const char **at, const char *end, const char **member, Py_ssize_t *size);
/* The number of 1 to 18 digits, or -1. */
long long parse_length(const char *text, Py_ssize_t size);
int is_digit(char byte);
int is_hex(char byte);
int hex_value(char byte);

/* The slot of a lower-case name in `State.names`: its own, or the free one where it belongs. */
unsigned name_slot(const State *state, const char *text, Py_ssize_t size);

/* nodes.c */
int parse_ipv4(const char *text, Py_ssize_t size, unsigned char octets[4]);
int parse_ipv6(const char *text, Py_ssize_t size, uint16_t groups[8]);

/* What the module offers. Those that return None decline. */
int add_heads(PyObject *module);  /* adds RequestHead to module and state */
int add_fields(PyObject *module); /* ... ResponseFields */
PyObject *scan_head(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *field_value(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *scan_next(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *printable(PyObject *module, PyObject *data);
PyObject *check_fields(PyObject *module, PyObject *headers);
PyObject *render_head(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *mask(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *parse_node(PyObject *module, PyObject *node);
PyObject *nearest_hop(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *decode_fields(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *decode_huffman(PyObject *module, PyObject *data);
PyObject *encode_fields(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
