/* The request-head scanner; the twin is heads.py.

   It takes heads that are right, in the forms that real traffic has, in one pass, and returns None
   for everything else: the twin then finds the error, or accepts what is rare. So nothing here
   raises for what a client sent, and nothing is accepted here that the twin would refuse. */

#include "native.h"
#include <structmember.h>

#define KEEP_ALIVE 1
#define CHUNKED 2
#define EXPECT_CONTINUE 4
#define UPGRADED 8
#define TRAILERS 16

typedef struct {
    PyObject_HEAD
    PyObject *method;
    PyObject *target;
    PyObject *version;
    PyObject *scheme;
    PyObject *authority;
    PyObject *path;
    PyObject *raw_path;
    PyObject *query;
    PyObject *fields;
    PyObject *content_length;
    PyObject *forwarded;
} Head;

#define ATTRIBUTES 11 /* object pointers in a row, from `method` on, in the constructor's order */

static inline PyObject **
attributes(PyObject *head)
{
    return &((Head *)head)->method;
}

static int
head_traverse(PyObject *self, visitproc visit, void *arg)
{
    PyObject **attribute = attributes(self);
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < ATTRIBUTES; i++)
        Py_VISIT(attribute[i]);
    return 0;
}

static int
head_clear(PyObject *self)
{
    PyObject **attribute = attributes(self);
    for (int i = 0; i < ATTRIBUTES; i++)
        Py_CLEAR(attribute[i]);
    return 0;
}

static void
head_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)head_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
head_vectorcall(PyObject *type, PyObject *const *args, size_t count, PyObject *names)
{
    PyObject *self;
    if (PyVectorcall_NARGS(count) != ATTRIBUTES || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "RequestHead() takes eleven positional arguments");
        return NULL;
    }
    self = ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self != NULL)
        for (int i = 0; i < ATTRIBUTES; i++)
            attributes(self)[i] = Py_NewRef(args[i]);
    return self;
}

static PyObject *
head_has_content(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *length = ((Head *)self)->content_length;
    int truth = length == Py_None ? 1 : PyObject_IsTrue(length);
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

#define MEMBER(name) {#name, T_OBJECT_EX, offsetof(Head, name), READONLY, NULL}

static PyMemberDef head_members[] = {
    MEMBER(method), MEMBER(target),   MEMBER(version), MEMBER(scheme), MEMBER(authority),
    MEMBER(path),   MEMBER(raw_path), MEMBER(query),   MEMBER(fields), MEMBER(content_length),
    MEMBER(forwarded), {NULL},
};

static PyGetSetDef head_properties[] = {
    {"has_content", head_has_content, NULL, "Whether content follows, of a known length or not.",
     NULL},
    {NULL},
};

static PyType_Slot head_slots[] = {
    {Py_tp_doc, "A parsed and validated request head; codec.heads.RequestHead says more."},
    {Py_tp_dealloc, head_dealloc},
    {Py_tp_traverse, head_traverse},
    {Py_tp_clear, head_clear},
    {Py_tp_members, head_members},
    {Py_tp_getset, head_properties},
    {0, NULL},
};

static PyType_Spec head_spec = {
    .name = "katana_asgi.codec._native.RequestHead",
    .basicsize = sizeof(Head),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = head_slots,
};

int
add_heads(PyObject *module)
{
    State *state = state_of(module);
    state->head_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &head_spec, NULL);
    if (state->head_type == NULL)
        return -1;
    state->head_type->tp_vectorcall = head_vectorcall;
    return PyModule_AddType(module, state->head_type);
}

/* What was made of a head so far; all of it is given up where the head is declined. */
typedef struct {
    PyObject *attribute[ATTRIBUTES]; /* in the order of the constructor */
    PyObject *fields[MAX_FIELDS];
    int field_count;
    short forwarded[MAX_FIELDS];
    int forwarded_count;
    int http_1_1;
    int has_host;
    int has_upgrade;
    int chunked;
    int connection_close;
    int connection_keep_alive;
    int connection_upgrade;
    int expects;
    int trailers;
    long long length; /* -1: none */
} Scan;

enum { METHOD, TARGET, VERSION, SCHEME, AUTHORITY, PATH, RAW_PATH, QUERY, FIELDS, LENGTH, FORWARDS };

#define MAKE(to, expression) \
    do { \
        if (((to) = (expression)) == NULL) \
            return FAILED; \
    } while (0)

static PyObject *
decoded_path(const char *text, Py_ssize_t size, int escaped)
{
    char small[512], *buffer = small, *to;
    const char *at = text, *end = text + size;
    PyObject *path;

    if (!escaped)
        return PyUnicode_DecodeASCII(text, size, NULL);
    if (size > (Py_ssize_t)sizeof(small) && (buffer = PyMem_Malloc((size_t)size)) == NULL)
        return PyErr_NoMemory();
    to = buffer;
    while (at < end) {
        if (*at == '%' && end - at > 2 && is_hex(at[1]) && is_hex(at[2])) {
            *to++ = (char)(hex_value(at[1]) << 4 | hex_value(at[2]));
            at += 3;
        }
        else {
            *to++ = *at++;
        }
    }
    path = PyUnicode_DecodeUTF8(buffer, to - buffer, "replace");
    if (buffer != small)
        PyMem_Free(buffer);
    return path;
}

static PyObject *
method_name(const State *state, const char *text, Py_ssize_t size)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        PyObject *method = state->methods[i];
        if (PyUnicode_GET_LENGTH(method) == size &&
            memcmp(PyUnicode_1BYTE_DATA(method), text, (size_t)size) == 0)
            return Py_NewRef(method);
    }
    return PyUnicode_DecodeASCII(text, size, NULL);
}

/* `method SP origin-form SP "HTTP/1." DIGIT`, from *at to its CRLF, which *at is moved behind. */
static enum outcome
scan_request_line(const State *state, Scan *scan, const char **at, const char *end,
                  Py_ssize_t max_line)
{
    const char *start = *at, *method_end, *target, *target_end, *path_end;
    int escaped = 0;

    /* No byte is read before it is known to be there: behind the last byte of bytes is a NUL, and
       each of the loops below stops at one. */
    for (method_end = start; TOKEN_LOWER[(unsigned char)*method_end]; method_end++)
        ;
    if (method_end == start || method_end[0] != ' ' || method_end[1] != '/' ||
        (method_end - start == 7 && memcmp(start, "CONNECT", 7) == 0))
        return DECLINED;
    target = path_end = method_end + 1;
    for (; *path_end > ' ' && *path_end < 0x7f && *path_end != '?' && *path_end != '#'; path_end++)
        escaped |= *path_end == '%';
    target_end = path_end;
    if (*target_end == '?')
        for (; *target_end > ' ' && *target_end < 0x7f && *target_end != '#'; target_end++)
            ;
    if (end - target_end < 11 || memcmp(target_end, " HTTP/1.", 8) != 0 ||
        !is_digit(target_end[8]) || target_end[9] != '\r' || target_end[10] != '\n' ||
        target_end + 9 - start > max_line)
        return DECLINED;
    scan->http_1_1 = target_end[8] != '0';
    *at = target_end + 11;

    MAKE(scan->attribute[METHOD], method_name(state, start, method_end - start));
    MAKE(scan->attribute[TARGET], PyBytes_FromStringAndSize(target, target_end - target));
    scan->attribute[VERSION] = Py_NewRef(scan->http_1_1 ? state->version_1_1 : state->version_1_0);
    scan->attribute[SCHEME] = Py_NewRef(state->empty_string);
    scan->attribute[AUTHORITY] = Py_NewRef(Py_None);
    MAKE(scan->attribute[PATH], decoded_path(target, path_end - target, escaped));
    if (path_end == target_end) {
        scan->attribute[RAW_PATH] = Py_NewRef(scan->attribute[TARGET]);
        scan->attribute[QUERY] = Py_NewRef(state->empty_bytes);
    }
    else {
        MAKE(scan->attribute[RAW_PATH], PyBytes_FromStringAndSize(target, path_end - target));
        MAKE(scan->attribute[QUERY],
             PyBytes_FromStringAndSize(path_end + 1, target_end - path_end - 1));
    }
    return DONE;
}

/* What a field means for framing and persistence; framing.py, `judge`. */
static enum outcome
examine(Scan *scan, enum kind kind, const char *value, Py_ssize_t size)
{
    const char *at = value, *end = value + size, *member;
    Py_ssize_t length;

    switch (kind) {
    case HOST:
        if (scan->has_host || !is_valid_host(value, size))
            return DECLINED;
        scan->has_host = 1;
        break;
    case CONTENT_LENGTH:
        if (scan->length >= 0 || (scan->length = parse_length(value, size)) < 0)
            return DECLINED;
        break;
    case TRANSFER_ENCODING:
        if (scan->chunked || !scan->http_1_1 || !equals_folded(value, size, "chunked"))
            return DECLINED;
        scan->chunked = 1;
        break;
    case CONNECTION:
        while (next_member(&at, end, &member, &length)) {
            scan->connection_close |= equals_folded(member, length, "close");
            scan->connection_keep_alive |= equals_folded(member, length, "keep-alive");
            scan->connection_upgrade |= equals_folded(member, length, "upgrade");
        }
        break;
    case EXPECT:
        if (!scan->http_1_1)
            break;
        if (!next_member(&at, end, &member, &length))
            return DECLINED;
        do {
            if (!equals_folded(member, length, "100-continue"))
                return DECLINED;
        } while (next_member(&at, end, &member, &length));
        scan->expects = 1;
        break;
    case UPGRADE:
        scan->has_upgrade = 1;
        break;
    case TE:
        while (next_member(&at, end, &member, &length))
            scan->trailers |= scan->http_1_1 && equals_folded(member, length, "trailers");
        break;
    case FORWARDED:
        scan->forwarded[scan->forwarded_count++] = (short)scan->field_count;
        break;
    default:
        break;
    }
    return DONE;
}

/* One field line, from *at to its CRLF, which *at is moved behind (RFC 9112 §5). */
static enum outcome
scan_field(const State *state, Scan *scan, const char **at, const char *end)
{
    char small[64];
    const char *start = *at, *colon = start, *value, *value_end;
    Py_ssize_t size;
    PyObject *name, *content, *pair;
    enum kind kind = PLAIN;
    unsigned char lower;
    enum outcome outcome;

    if (scan->field_count == MAX_FIELDS)
        return DECLINED;
    for (; (lower = TOKEN_LOWER[(unsigned char)*colon]) != 0; colon++)
        if (colon - start < (Py_ssize_t)sizeof(small))
            small[colon - start] = (char)lower;
    size = colon - start;
    if (size == 0 || *colon != ':')
        return DECLINED;
    for (value = colon + 1; *value == ' ' || *value == '\t'; value++)
        ;
    *at = skip_value(value, end);
    if (end - *at < 2 || (*at)[0] != '\r' || (*at)[1] != '\n')
        return DECLINED;
    for (value_end = *at; value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t');)
        value_end--;
    *at += 2;

    if (size <= (Py_ssize_t)sizeof(small)) {
        unsigned slot = name_slot(state, small, size);
        name = state->names[slot].object;
        kind = state->names[slot].kind;
        if (kind != PLAIN && (outcome = examine(scan, kind, value, value_end - value)) != DONE)
            return outcome;
        if (name != NULL)
            Py_INCREF(name);
        else
            MAKE(name, PyBytes_FromStringAndSize(small, size));
    }
    else {
        char *to;
        MAKE(name, PyBytes_FromStringAndSize(NULL, size));
        to = PyBytes_AS_STRING(name);
        for (Py_ssize_t i = 0; i < size; i++)
            to[i] = (char)TOKEN_LOWER[(unsigned char)start[i]];
    }
    content = PyBytes_FromStringAndSize(value, value_end - value);
    pair = PyTuple_New(2);
    if (content == NULL || pair == NULL) {
        Py_DECREF(name);
        Py_XDECREF(content);
        Py_XDECREF(pair);
        return FAILED;
    }
    PyTuple_SET_ITEM(pair, 0, name);
    PyTuple_SET_ITEM(pair, 1, content);
    scan->fields[scan->field_count++] = pair;
    return DONE;
}

/* A head and the empty line behind it, from *at, which is moved behind. */
static enum outcome
scan_all(const State *state, Scan *scan, const char **at, const char *end,
         const Py_ssize_t limits[3])
{
    const char *section;
    enum outcome outcome;

    if ((outcome = scan_request_line(state, scan, at, end, limits[0])) != DONE)
        return outcome;
    section = *at - 2; /* counted from the CRLF of the request line */
    while (**at != '\r') {
        if (scan->field_count >= limits[2])
            return DECLINED;
        if ((outcome = scan_field(state, scan, at, end)) != DONE)
            return outcome;
    }
    if (end - *at < 2 || (*at)[1] != '\n')
        return DECLINED;
    *at += 2;
    if (*at - section > limits[1])
        return DECLINED;
    if ((!scan->has_host && scan->http_1_1) || (scan->chunked && scan->length >= 0))
        return DECLINED;

    MAKE(scan->attribute[FIELDS], PyList_New(scan->field_count));
    for (int i = 0; i < scan->field_count; i++)
        PyList_SET_ITEM(scan->attribute[FIELDS], i, scan->fields[i]);
    scan->field_count = 0;
    if (scan->chunked)
        scan->attribute[LENGTH] = Py_NewRef(Py_None);
    else
        MAKE(scan->attribute[LENGTH], PyLong_FromLongLong(scan->length < 0 ? 0 : scan->length));
    if (scan->forwarded_count == 0) {
        scan->attribute[FORWARDS] = Py_NewRef(state->no_indexes);
        return DONE;
    }
    MAKE(scan->attribute[FORWARDS], PyTuple_New(scan->forwarded_count));
    for (int i = 0; i < scan->forwarded_count; i++) {
        PyObject *index;
        MAKE(index, PyLong_FromLong(scan->forwarded[i]));
        PyTuple_SET_ITEM(scan->attribute[FORWARDS], i, index);
    }
    return DONE;
}

/* A tuple of the head, its framing bits and, unless negative, the offset of what follows. */
static PyObject *
result_of(const State *state, Scan *scan, Py_ssize_t next)
{
    PyObject *result, *framing, *offset = NULL;
    PyObject *head = state->head_type->tp_alloc(state->head_type, 0);
    int keeps = !scan->connection_close && (scan->http_1_1 || scan->connection_keep_alive);
    if (head == NULL)
        return NULL;
    memcpy(attributes(head), scan->attribute, sizeof(scan->attribute));
    memset(scan->attribute, 0, sizeof(scan->attribute));
    framing = PyLong_FromLong((keeps ? KEEP_ALIVE : 0) | (scan->chunked ? CHUNKED : 0) |
                              (scan->expects ? EXPECT_CONTINUE : 0) |
                              (scan->has_upgrade && scan->connection_upgrade ? UPGRADED : 0) |
                              (scan->trailers ? TRAILERS : 0));
    result = PyTuple_New(next < 0 ? 2 : 3);
    if (framing == NULL || result == NULL || (next >= 0 && (offset = PyLong_FromSsize_t(next)) == NULL)) {
        Py_DECREF(head);
        Py_XDECREF(framing);
        Py_XDECREF(result);
        return NULL;
    }
    PyTuple_SET_ITEM(result, 0, head);
    PyTuple_SET_ITEM(result, 1, framing);
    if (offset != NULL)
        PyTuple_SET_ITEM(result, 2, offset);
    return result;
}

/* Scans from `start` on; `whole`: nothing may follow. */
static PyObject *
scan(const State *state, PyObject *data, Py_ssize_t start, PyObject *const *given, int whole)
{
    PyObject *result = NULL;
    Py_ssize_t limits[3];
    enum outcome outcome;
    const char *text, *at, *end;
    Scan scan;

    for (int i = 0; i < 3; i++) {
        limits[i] = PyLong_AsSsize_t(given[i]);
        if (limits[i] == -1 && PyErr_Occurred())
            return NULL;
    }
    memset(scan.attribute, 0, sizeof(scan.attribute));
    scan.field_count = scan.forwarded_count = 0;
    scan.http_1_1 = scan.has_host = scan.has_upgrade = scan.chunked = scan.expects = 0;
    scan.connection_close = scan.connection_keep_alive = scan.connection_upgrade = 0;
    scan.trailers = 0;
    scan.length = -1;

    text = PyBytes_AS_STRING(data);
    at = text + start;
    end = text + PyBytes_GET_SIZE(data);
    outcome = scan_all(state, &scan, &at, end, limits);
    if (outcome == DONE && whole && at != end)
        outcome = DECLINED;
    if (outcome == DONE)
        result = result_of(state, &scan, whole ? -1 : at - text);
    else if (outcome == DECLINED)
        result = Py_NewRef(Py_None);
    for (int i = 0; i < ATTRIBUTES; i++)
        Py_XDECREF(scan.attribute[i]);
    for (int i = 0; i < scan.field_count; i++)
        Py_DECREF(scan.fields[i]);
    return result;
}

PyObject *
scan_head(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "scan_head() takes a head and three limits");
        return NULL;
    }
    if (!PyBytes_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "a head is bytes, not %.100s",
                            Py_TYPE(args[0])->tp_name);
    return scan(state_of(module), args[0], 0, args + 1, 1);
}

PyObject *
scan_next(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t start;

    if (count != 5 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "scan_next() takes bytes, an offset and three limits");
        return NULL;
    }
    start = PyLong_AsSsize_t(args[1]);
    if (start == -1 && PyErr_Occurred())
        return NULL;
    if (start < 0 || start > PyBytes_GET_SIZE(args[0]))
        Py_RETURN_NONE;
    return scan(state_of(module), args[0], start, args + 2, 0);
}
