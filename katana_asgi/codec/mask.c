/* Masking of WebSocket frame payloads (RFC 6455 §5.3); the twin is masking.py. */

#include "native.h"

PyObject *
mask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer data, key;
    PyObject *result = NULL;

    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "mask() takes data and a key");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    if (key.len != 4) {
        PyErr_SetString(PyExc_ValueError, "a mask has four bytes");
    }
    else if ((result = PyBytes_FromStringAndSize(NULL, data.len)) != NULL) {
        const char *from = data.buf;
        char *to = PyBytes_AS_STRING(result);
        unsigned char four[8];
        uint64_t eight, word;
        Py_ssize_t at = 0;
        memcpy(four, key.buf, 4);
        memcpy(four + 4, key.buf, 4);
        memcpy(&eight, four, 8);
        for (; data.len - at >= 8; at += 8) {
            memcpy(&word, from + at, 8);
            word ^= eight;
            memcpy(to + at, &word, 8);
        }
        for (; at < data.len; at++)
            to[at] = (char)(from[at] ^ four[at % 4]);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&data);
    return result;
}
