/* Response fields of an application, checked and written; the twin is fields.py. */

#include "native.h"
#include <structmember.h>

#define OWN_DATE 1
#define OWN_SERVER 2

typedef struct {
    PyObject_HEAD
    PyObject *pairs;
    PyObject *content_length;
    PyObject *own;
    PyObject *close;
    PyObject *wire;
} Fields;

static int
fields_traverse(PyObject *self, visitproc visit, void *arg)
{
    Fields *fields = (Fields *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(fields->pairs);
    Py_VISIT(fields->content_length);
    Py_VISIT(fields->own);
    Py_VISIT(fields->close);
    Py_VISIT(fields->wire);
    return 0;
}

static int
fields_clear(PyObject *self)
{
    Fields *fields = (Fields *)self;
    Py_CLEAR(fields->pairs);
    Py_CLEAR(fields->content_length);
    Py_CLEAR(fields->own);
    Py_CLEAR(fields->close);
    Py_CLEAR(fields->wire);
    return 0;
}

static void
fields_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)fields_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Takes the references, also where it fails; any may be NULL, then an exception is set. */
static PyObject *
make_fields(PyTypeObject *type, PyObject *pairs, PyObject *content_length, PyObject *own,
            PyObject *close)
{
    Fields *fields = NULL;
    if (pairs != NULL && content_length != NULL && own != NULL && close != NULL)
        fields = (Fields *)type->tp_alloc(type, 0);
    if (fields == NULL) {
        Py_XDECREF(pairs);
        Py_XDECREF(content_length);
        Py_XDECREF(own);
        Py_XDECREF(close);
        return NULL;
    }
    fields->pairs = pairs;
    fields->content_length = content_length;
    fields->own = own;
    fields->close = close;
    fields->wire = Py_NewRef(Py_None);
    return (PyObject *)fields;
}

static int
is_pair_of_bytes(PyObject *pair)
{
    return PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 &&
           PyBytes_Check(PyTuple_GET_ITEM(pair, 0)) && PyBytes_Check(PyTuple_GET_ITEM(pair, 1));
}

static PyObject *
fields_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"pairs", "content_length", "own", "close", NULL};
    PyObject *pairs = NULL, *content_length = Py_None, *own = NULL, *close = Py_False;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O!OO!O!:ResponseFields", names, &PyTuple_Type,
                                     &pairs, &content_length, &PyLong_Type, &own, &PyBool_Type,
                                     &close))
        return NULL;
    for (Py_ssize_t i = 0; pairs != NULL && i < PyTuple_GET_SIZE(pairs); i++)
        if (!is_pair_of_bytes(PyTuple_GET_ITEM(pairs, i))) {
            PyErr_SetString(PyExc_TypeError, "fields are pairs of bytes");
            return NULL;
        }
    return make_fields(type, pairs == NULL ? PyTuple_New(0) : Py_NewRef(pairs),
                       Py_NewRef(content_length), own == NULL ? PyLong_FromLong(0) : Py_NewRef(own),
                       Py_NewRef(close));
}

static PyMemberDef fields_members[] = {
    {"pairs", T_OBJECT_EX, offsetof(Fields, pairs), READONLY, NULL},
    {"content_length", T_OBJECT_EX, offsetof(Fields, content_length), READONLY, NULL},
    {"own", T_OBJECT_EX, offsetof(Fields, own), READONLY, NULL},
    {"close", T_OBJECT_EX, offsetof(Fields, close), READONLY, NULL},
    {"wire", T_OBJECT_EX, offsetof(Fields, wire), 0, NULL},
    {NULL},
};

static PyType_Slot fields_slots[] = {
    {Py_tp_doc, "Checked fields of a response; codec.fields.ResponseFields says more."},
    {Py_tp_new, fields_new},
    {Py_tp_dealloc, fields_dealloc},
    {Py_tp_traverse, fields_traverse},
    {Py_tp_clear, fields_clear},
    {Py_tp_members, fields_members},
    {0, NULL},
};

static PyType_Spec fields_spec = {
    .name = "katana_asgi.codec._native.ResponseFields",
    .basicsize = sizeof(Fields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = fields_slots,
};

int
add_fields(PyObject *module)
{
    State *state = state_of(module);
    state->fields_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &fields_spec, NULL);
    return state->fields_type == NULL ? -1 : PyModule_AddType(module, state->fields_type);
}

/* What was made of a list of headers so far. */
typedef struct {
    PyObject *pairs[MAX_FIELDS];
    int count;
    int own;
    int close;
    long long length; /* -1: none */
} Check;

/* What a field means for the server; `kept` says whether it stays in the response. */
static enum outcome
examine(Check *check, enum kind kind, const char *value, Py_ssize_t size, int *kept)
{
    const char *at = value, *end = value + size, *member;
    Py_ssize_t member_size;
    long long length;

    *kept = 1;
    switch (kind) {
    case CONNECTION:
        while (next_member(&at, end, &member, &member_size))
            check->close |= equals_folded(member, member_size, "close");
        *kept = 0;
        break;
    case TRANSFER_ENCODING:
    case UPGRADE:
    case TE:
    case HOP_BY_HOP:
        *kept = 0;
        break;
    case CONTENT_LENGTH:
        length = parse_length(value, size);
        if (length < 0 || (check->length >= 0 && check->length != length))
            return DECLINED;
        *kept = check->length < 0;
        check->length = length;
        break;
    case DATE:
        check->own |= OWN_DATE;
        break;
    case SERVER:
        check->own |= OWN_SERVER;
        break;
    default:
        break;
    }
    return DONE;
}

/* One header of the application; `pair` is what it sent, where that is a tuple. */
static enum outcome
check_field(const State *state, Check *check, PyObject *pair, PyObject *name, PyObject *value)
{
    char small[64];
    const char *text = PyBytes_AS_STRING(name);
    const char *start = PyBytes_AS_STRING(value), *end = start + PyBytes_GET_SIZE(value);
    const char *first = start, *last = end;
    Py_ssize_t size = PyBytes_GET_SIZE(name);
    PyObject *known = NULL, *content;
    enum kind kind = PLAIN;
    int lower_case = 1, kept = 1;

    /* Longer names than any that is known are for the twin. */
    if (check->count == MAX_FIELDS || size == 0 || size > (Py_ssize_t)sizeof(small))
        return DECLINED;
    for (Py_ssize_t i = 0; i < size; i++) {
        unsigned char lower = TOKEN_LOWER[(unsigned char)text[i]];
        if (!lower)
            return DECLINED;
        lower_case &= lower == (unsigned char)text[i];
        small[i] = (char)lower;
    }
    if (skip_value(start, end) != end)
        return DECLINED;
    while (first < last && (*first == ' ' || *first == '\t'))
        first++;
    while (first < last && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    unsigned slot = name_slot(state, small, size);
    known = state->names[slot].object;
    kind = state->names[slot].kind;
    if (kind != PLAIN && examine(check, kind, first, last - first, &kept) != DONE)
        return DECLINED;
    if (!kept)
        return DONE;

    if (pair != NULL && lower_case && first == start && last == end) {
        check->pairs[check->count++] = Py_NewRef(pair);
        return DONE;
    }
    if (lower_case)
        known = Py_NewRef(name);
    else if (known != NULL)
        Py_INCREF(known);
    else if ((known = PyBytes_FromStringAndSize(small, size)) == NULL)
        return FAILED;
    content = first == start && last == end ? Py_NewRef(value)
                                            : PyBytes_FromStringAndSize(first, last - first);
    pair = PyTuple_New(2);
    if (content == NULL || pair == NULL) {
        Py_DECREF(known);
        Py_XDECREF(content);
        Py_XDECREF(pair);
        return FAILED;
    }
    PyTuple_SET_ITEM(pair, 0, known);
    PyTuple_SET_ITEM(pair, 1, content);
    check->pairs[check->count++] = pair;
    return DONE;
}

/* Takes a pair apart, name and value as new references; NULLs for what is not a pair of bytes. */
static void
take_apart(PyObject *pair, PyObject **name, PyObject **value)
{
    *name = *value = NULL;
    if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2) {
        *name = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        *value = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    }
    else if (PyList_CheckExact(pair) && PyList_GET_SIZE(pair) == 2) {
        if ((*name = PyList_GetItemRef(pair, 0)) == NULL ||
            (*value = PyList_GetItemRef(pair, 1)) == NULL)
            PyErr_Clear(); /* another thread made the list shorter */
    }
    if (*name == NULL || *value == NULL || !PyBytes_CheckExact(*name) ||
        !PyBytes_CheckExact(*value)) {
        Py_CLEAR(*name);
        Py_CLEAR(*value);
    }
}

static enum outcome
check_one(const State *state, Check *check, PyObject *pair)
{
    enum outcome outcome = DECLINED;
    PyObject *name, *value;
    take_apart(pair, &name, &value);
    if (name != NULL)
        outcome = check_field(state, check, PyTuple_CheckExact(pair) ? pair : NULL, name, value);
    Py_XDECREF(name);
    Py_XDECREF(value);
    return outcome;
}

PyObject *
check_fields(PyObject *module, PyObject *headers)
{
    State *state = state_of(module);
    int is_list = PyList_CheckExact(headers);
    enum outcome outcome = DONE;
    PyObject *pairs, *result = NULL;
    Check check;

    check.count = check.own = check.close = 0;
    check.length = -1;
    if (!is_list && !PyTuple_CheckExact(headers))
        Py_RETURN_NONE;
    /* The size is asked again each time, and each pair held: what is allocated here may run the
       garbage collector, and with it code that changes the list. */
    for (Py_ssize_t i = 0; outcome == DONE; i++) {
        PyObject *pair;
        if (i >= (is_list ? PyList_GET_SIZE(headers) : PyTuple_GET_SIZE(headers)))
            break;
        pair = is_list ? PyList_GetItemRef(headers, i) : Py_NewRef(PyTuple_GET_ITEM(headers, i));
        if (pair == NULL) {
            PyErr_Clear(); /* another thread made the list shorter */
            break;
        }
        outcome = check_one(state, &check, pair);
        Py_DECREF(pair);
    }
    if (outcome == DONE && (pairs = PyTuple_New(check.count)) != NULL) {
        for (int i = 0; i < check.count; i++)
            PyTuple_SET_ITEM(pairs, i, check.pairs[i]);
        check.count = 0;
        result = make_fields(state->fields_type, pairs,
                             check.length < 0 ? Py_NewRef(Py_None)
                                              : PyLong_FromLongLong(check.length),
                             PyLong_FromLong(check.own), PyBool_FromLong(check.close));
    }
    else if (outcome == DECLINED) {
        result = Py_NewRef(Py_None);
    }
    for (int i = 0; i < check.count; i++)
        Py_DECREF(check.pairs[i]);
    return result;
}

static inline char *
append(char *to, const char *from, Py_ssize_t size)
{
    memcpy(to, from, (size_t)size);
    return to + size;
}

static inline char *
append_bytes(char *to, PyObject *bytes)
{
    return append(to, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
}

PyObject *
render_head(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *pairs, *result;
    Py_buffer content;
    Py_ssize_t size;
    char line[48]; /* of the length: a name, 19 digits at most, a line end */
    int line_size = 0;

    if (count != 5 || !PyBytes_Check(args[0]) || !PyBytes_Check(args[3]) ||
        !(args[2] == Py_None || PyLong_Check(args[2])) ||
        !Py_IS_TYPE(args[1], state_of(module)->fields_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "render_head() takes bytes, ResponseFields, a length, bytes and content");
        return NULL;
    }
    if (args[2] != Py_None) {
        Py_ssize_t length = PyLong_AsSsize_t(args[2]);
        if (length == -1 && PyErr_Occurred())
            return NULL;
        line_size = snprintf(line, sizeof(line), "content-length: %lld\r\n", (long long)length);
    }
    if (PyObject_GetBuffer(args[4], &content, PyBUF_SIMPLE) < 0)
        return NULL;
    pairs = ((Fields *)args[1])->pairs;
    size = PyBytes_GET_SIZE(args[0]) + line_size + PyBytes_GET_SIZE(args[3]);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        size += PyBytes_GET_SIZE(PyTuple_GET_ITEM(pair, 0)) + 4 +
                PyBytes_GET_SIZE(PyTuple_GET_ITEM(pair, 1));
    }
    /* The sum cannot wrap: all of it is in memory, some of it more than once at most. */
    result = PyBytes_FromStringAndSize(NULL, size + content.len);
    if (result != NULL) {
        char *to = append_bytes(PyBytes_AS_STRING(result), args[0]);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
            PyObject *pair = PyTuple_GET_ITEM(pairs, i);
            to = append_bytes(to, PyTuple_GET_ITEM(pair, 0));
            to = append(to, ": ", 2);
            to = append_bytes(to, PyTuple_GET_ITEM(pair, 1));
            to = append(to, "\r\n", 2);
        }
        to = append(to, line, line_size);
        to = append_bytes(to, args[3]);
        append(to, content.buf, content.len);
    }
    PyBuffer_Release(&content);
    return result;
}
