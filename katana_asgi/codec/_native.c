/* katana_asgi.codec._native: the module, its table of functions and its state.

   Pure functions on bytes. The state is made at import, per interpreter, and never changes. */

#include "native.h"

static PyMethodDef methods[] = {
    {"scan_head", (PyCFunction)(void (*)(void))scan_head, METH_FASTCALL,
     PyDoc_STR("scan_head(head, max_line, max_size, max_count); None: ask the twin.")},
    {"scan_next", (PyCFunction)(void (*)(void))scan_next, METH_FASTCALL,
     PyDoc_STR("scan_next(data, start, max_line, max_size, max_count); None: ask the twin.")},
    {"field_value", (PyCFunction)(void (*)(void))field_value, METH_FASTCALL,
     PyDoc_STR("field_value(fields, name)")},
    {"printable", printable, METH_O, PyDoc_STR("printable(data)")},
    {"check_fields", check_fields, METH_O, PyDoc_STR("check_fields(headers); None: ask the twin.")},
    {"render_head", (PyCFunction)(void (*)(void))render_head, METH_FASTCALL,
     PyDoc_STR("render_head(first, fields, length, last, content)")},
    {"mask", (PyCFunction)(void (*)(void))mask, METH_FASTCALL, PyDoc_STR("mask(data, key)")},
    {"parse_node", parse_node, METH_O, PyDoc_STR("parse_node(node)")},
    {"nearest_hop", (PyCFunction)(void (*)(void))nearest_hop, METH_FASTCALL,
     PyDoc_STR("nearest_hop(fields, positions, believed)")},
    {"decode_fields", (PyCFunction)(void (*)(void))decode_fields, METH_FASTCALL,
     PyDoc_STR("decode_fields(block, static, examined, entries, size, capacity, ceiling, "
               "max_size, max_count)")},
    {"decode_huffman", decode_huffman, METH_O, PyDoc_STR("decode_huffman(data)")},
    {"encode_fields", (PyCFunction)(void (*)(void))encode_fields, METH_FASTCALL,
     PyDoc_STR("encode_fields(fields, codes)")},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    static const char *const names[METHOD_COUNT] = {"GET",    "POST",  "HEAD",   "PUT",
                                                    "DELETE", "PATCH", "OPTIONS"};
    State *state = state_of(module);

    for (int i = 0; i < METHOD_COUNT; i++)
        if ((state->methods[i] = PyUnicode_InternFromString(names[i])) == NULL)
            return -1;
    if ((state->version_1_0 = PyUnicode_InternFromString("1.0")) == NULL ||
        (state->version_1_1 = PyUnicode_InternFromString("1.1")) == NULL ||
        (state->http = PyUnicode_InternFromString("http")) == NULL ||
        (state->https = PyUnicode_InternFromString("https")) == NULL ||
        (state->empty_string = PyUnicode_InternFromString("")) == NULL ||
        (state->empty_bytes = PyBytes_FromStringAndSize(NULL, 0)) == NULL ||
        (state->no_indexes = PyTuple_New(0)) == NULL)
        return -1;
    for (const struct name *name = NAMES; name->text != NULL; name++) {
        Py_ssize_t size = (Py_ssize_t)strlen(name->text);
        unsigned slot = name_slot(state, name->text, size);
        if ((state->names[slot].object = PyBytes_FromStringAndSize(name->text, size)) == NULL)
            return -1;
        state->names[slot].kind = name->kind;
    }
    return add_heads(module) < 0 || add_fields(module) < 0 ? -1 : 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = state_of(module);
    Py_VISIT(state->head_type);
    Py_VISIT(state->fields_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    State *state = state_of(module);
    Py_CLEAR(state->head_type);
    Py_CLEAR(state->fields_type);
    for (int i = 0; i < METHOD_COUNT; i++)
        Py_CLEAR(state->methods[i]);
    Py_CLEAR(state->version_1_0);
    Py_CLEAR(state->version_1_1);
    Py_CLEAR(state->http);
    Py_CLEAR(state->https);
    Py_CLEAR(state->empty_string);
    Py_CLEAR(state->empty_bytes);
    Py_CLEAR(state->no_indexes);
    for (int i = 0; i < NAME_SLOTS; i++)
        Py_CLEAR(state->names[i].object);
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear((PyObject *)module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The functions of katana_asgi.codec in C.",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
