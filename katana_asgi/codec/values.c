/* Single fields and values; the twin is values.py. */

#include "native.h"

/* Whether a list's member is a pair of bytes with this name. */
static int
is_named(PyObject *pair, PyObject *name)
{
    PyObject *own;
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
        return 0;
    own = PyTuple_GET_ITEM(pair, 0);
    return own == name ||
           (PyBytes_CheckExact(own) && PyBytes_GET_SIZE(own) == PyBytes_GET_SIZE(name) &&
            memcmp(PyBytes_AS_STRING(own), PyBytes_AS_STRING(name),
                   (size_t)PyBytes_GET_SIZE(name)) == 0);
}

PyObject *
field_value(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *value = NULL;

    (void)module;
    if (count != 2 || !PyList_CheckExact(args[0]) || !PyBytes_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "field_value() takes a list of fields and a name");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *pair = PyList_GetItemRef(args[0], i);
        if (pair == NULL) {
            PyErr_Clear(); /* another thread made the list shorter */
            break;
        }
        if (is_named(pair, args[1])) {
            PyObject *next = PyTuple_GET_ITEM(pair, 1);
            if (value == NULL) {
                value = Py_NewRef(next);
            }
            else {
                PyBytes_ConcatAndDel(&value, PyBytes_FromStringAndSize(", ", 2));
                if (value != NULL)
                    PyBytes_Concat(&value, next);
            }
            if (value == NULL) {
                Py_DECREF(pair);
                return NULL;
            }
        }
        Py_DECREF(pair);
    }
    return value == NULL ? Py_NewRef(Py_None) : value;
}

PyObject *
printable(PyObject *module, PyObject *data)
{
    const unsigned char *text;
    Py_ssize_t size;

    (void)module;
    if (!PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "printable() takes bytes");
        return NULL;
    }
    text = (const unsigned char *)PyBytes_AS_STRING(data);
    size = PyBytes_GET_SIZE(data);
    for (Py_ssize_t i = 0; i < size; i++)
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
            Py_RETURN_NONE;
    return PyUnicode_DecodeASCII((const char *)text, size, NULL);
}
