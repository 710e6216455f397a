/* Addresses as forwarding fields write them; the twin is nodes.py. What is an address, and its
   canonical text, is as Python's ipaddress has it: inet_pton differs between systems. */

#include "native.h"

#define LONGEST_NODE 128

int
parse_ipv4(const char *text, Py_ssize_t size, unsigned char octets[4])
{
    const char *at = text, *end = text + size;
    for (int i = 0; i < 4; i++) {
        const char *start = at;
        int value = 0;
        while (at < end && is_digit(*at) && at - start < 3)
            value = value * 10 + (*at++ - '0');
        /* A leading zero means octal to some and decimal to others. */
        if (at == start || value > 255 || (*start == '0' && at - start > 1))
            return 0;
        octets[i] = (unsigned char)value;
        if (i < 3 && (at == end || *at++ != '.'))
            return 0;
    }
    return at == end;
}

int
parse_ipv6(const char *text, Py_ssize_t size, uint16_t groups[8])
{
    const char *at = text, *end = text + size;
    uint16_t found[8];
    int count = 0;    /* groups found */
    int skipped = -1; /* groups before the "::" */

    if (size < 2)
        return 0;
    if (*at == ':') {
        if (at[1] != ':')
            return 0;
        skipped = 0;
        at += 2;
    }
    while (at < end) {
        const char *start = at;
        unsigned value = 0;
        if (count == 8)
            return 0;
        while (at < end && is_hex(*at) && at - start < 4)
            value = value * 16 + (unsigned)hex_value(*at++);
        if (at < end && *at == '.') {
            unsigned char octets[4];
            if (count > 6 || !parse_ipv4(start, end - start, octets))
                return 0;
            found[count++] = (uint16_t)(octets[0] << 8 | octets[1]);
            found[count++] = (uint16_t)(octets[2] << 8 | octets[3]);
            at = end;
            break;
        }
        if (at == start)
            return 0;
        found[count++] = (uint16_t)value;
        if (at == end)
            break;
        if (*at++ != ':' || at == end)
            return 0;
        if (*at == ':') {
            if (skipped >= 0)
                return 0;
            skipped = count;
            at++;
        }
    }
    if (skipped < 0) {
        if (count != 8)
            return 0;
        memcpy(groups, found, sizeof(found));
        return 1;
    }
    if (count > 7) /* "::" stands for one group at least */
        return 0;
    memset(groups, 0, sizeof(found));
    memcpy(groups, found, (size_t)skipped * sizeof(uint16_t));
    memcpy(groups + 8 - (count - skipped), found + skipped,
           (size_t)(count - skipped) * sizeof(uint16_t));
    return 1;
}

static int
write_ipv4(char *to, unsigned high, unsigned low)
{
    return PyOS_snprintf(to, 16, "%u.%u.%u.%u", high >> 8, high & 255, low >> 8, low & 255);
}

/* The canonical text (RFC 5952 §4); an IPv4-mapped address becomes IPv4. */
static int
write_ipv6(char *to, const uint16_t groups[8])
{
    static const char digits[] = "0123456789abcdef";
    char *at = to;
    int best = -1, longest = 1;

    if (!(groups[0] | groups[1] | groups[2] | groups[3] | groups[4]) && groups[5] == 0xffff)
        return write_ipv4(to, groups[6], groups[7]);
    for (int i = 0; i < 8; i++) {
        int length = 0;
        while (i + length < 8 && groups[i + length] == 0)
            length++;
        if (length > longest) {
            best = i;
            longest = length;
        }
        i += length;
    }
    for (int i = 0; i < 8; i++) {
        int shift = 12;
        if (i == best) {
            *at++ = ':';
            i += longest - 1;
            if (i == 7)
                *at++ = ':';
            continue;
        }
        if (i > 0)
            *at++ = ':';
        while (shift > 0 && groups[i] >> shift == 0)
            shift -= 4;
        for (; shift >= 0; shift -= 4)
            *at++ = digits[groups[i] >> shift & 15];
    }
    return (int)(at - to);
}

/* The port of `[":" port]`: 0 where there is none or an obfuscated one (RFC 7239 §6.3), -1 for
   one that is too high, -2 for another text. */
static int
parse_port(const char *text, Py_ssize_t size)
{
    int port = 0;
    if (size == 0)
        return 0;
    if (text[0] != ':' || size < 2)
        return -2;
    if (text[1] == '_') {
        if (size < 3)
            return -2;
        for (Py_ssize_t i = 2; i < size; i++) {
            unsigned char byte = (unsigned char)text[i];
            int letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
            if (!letter && !is_digit(text[i]) && byte != '.' && byte != '_' && byte != '-')
                return -2;
        }
        return 0;
    }
    if (size > 6)
        return -2;
    for (Py_ssize_t i = 1; i < size; i++) {
        if (!is_digit(text[i]))
            return -2;
        port = port * 10 + (text[i] - '0');
    }
    return port <= 65535 ? port : -1;
}

static PyObject *
address(const char *text, int size, int port)
{
    PyObject *result, *host = PyUnicode_FromStringAndSize(text, size);
    PyObject *number = PyLong_FromLong(port);
    if (host == NULL || number == NULL) {
        Py_XDECREF(host);
        Py_XDECREF(number);
        return NULL;
    }
    result = PyTuple_New(2);
    if (result == NULL) {
        Py_DECREF(host);
        Py_DECREF(number);
        return NULL;
    }
    PyTuple_SET_ITEM(result, 0, host);
    PyTuple_SET_ITEM(result, 1, number);
    return result;
}

/* What parse_node returns, for a part of a value. */
static PyObject *
node_of(const char *text, Py_ssize_t size)
{
    const char *inner = text, *close;
    Py_ssize_t length = 0;
    unsigned char octets[4];
    uint16_t groups[8];
    char canonical[48];
    int port = 0;

    if (size < 2 || size > LONGEST_NODE)
        Py_RETURN_NONE;
    if (text[0] == '[') {
        inner = text + 1;
        close = memchr(inner, ']', (size_t)(size - 1));
        if (close == NULL)
            Py_RETURN_NONE;
        length = close - inner;
        port = parse_port(close + 1, text + size - close - 1);
        if (port < 0)
            Py_RETURN_NONE;
    }
    else {
        while (length < size && (is_digit(text[length]) || text[length] == '.'))
            length++;
        port = length > 0 ? parse_port(text + length, size - length) : -2;
        if (port == -1)
            Py_RETURN_NONE;
        if (port == -2) { /* no IPv4 address, so IPv6 without a port */
            length = size;
            port = 0;
        }
    }
    if (parse_ipv4(inner, length, octets))
        return address(inner, (int)length, port);
    if (parse_ipv6(inner, length, groups))
        return address(canonical, write_ipv6(canonical, groups), port);
    Py_RETURN_NONE;
}

PyObject *
parse_node(PyObject *Py_UNUSED(module), PyObject *node)
{
    if (!PyBytes_Check(node))
        return PyErr_Format(PyExc_TypeError, "a node is bytes, not %.100s",
                            Py_TYPE(node)->tp_name);
    return node_of(PyBytes_AS_STRING(node), PyBytes_GET_SIZE(node));
}

static int
is_text(PyObject *bytes, const char *text)
{
    size_t size = strlen(text);
    return (size_t)PyBytes_GET_SIZE(bytes) == size &&
           memcmp(PyBytes_AS_STRING(bytes), text, size) == 0;
}

/* The values of X-Forwarded-For and X-Forwarded-Proto, borrowed, or NULL: as they stand among
   fields, of which those that are not believed do not count. */
static enum outcome
usual_values(PyObject *fields, PyObject *positions, PyObject *believed, PyObject **hops,
             PyObject **proto)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(positions); i++) {
        PyObject *field, *name, *value, **place;
        Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GET_ITEM(positions, i));
        int found;
        if (at < 0 || at >= PyList_GET_SIZE(fields))
            return PyErr_Occurred() ? FAILED : DECLINED;
        field = PyList_GET_ITEM(fields, at);
        if (!PyTuple_CheckExact(field) || PyTuple_GET_SIZE(field) != 2)
            return DECLINED;
        name = PyTuple_GET_ITEM(field, 0);
        value = PyTuple_GET_ITEM(field, 1);
        if (!PyBytes_CheckExact(name) || !PyBytes_CheckExact(value))
            return DECLINED;
        found = PySet_Contains(believed, name);
        if (found < 0)
            return FAILED;
        if (!found)
            continue;
        place = is_text(name, "x-forwarded-for")     ? hops
                : is_text(name, "x-forwarded-proto") ? proto
                                                     : NULL;
        if (place == NULL || *place != NULL)
            return DECLINED;
        *place = value;
    }
    return DONE;
}

PyObject *
nearest_hop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    State *state = state_of(module);
    PyObject *hops = NULL, *proto = NULL, *client, *scheme = Py_None, *result;
    const char *start, *at, *end;

    if (count != 3 || !PyList_CheckExact(args[0]) || !PyTuple_CheckExact(args[1]) ||
        !PyAnySet_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "nearest_hop(fields, positions, believed)");
        return NULL;
    }
    switch (usual_values(args[0], args[1], args[2], &hops, &proto)) {
    case FAILED:
        return NULL;
    case DECLINED:
        Py_RETURN_NONE;
    case DONE:
        break;
    }
    if (proto != NULL) {
        if (is_text(proto, "https"))
            scheme = state->https;
        else if (is_text(proto, "http"))
            scheme = state->http;
        else
            Py_RETURN_NONE;
    }
    if (hops == NULL)
        return PyTuple_Pack(3, Py_None, scheme, Py_False);
    start = at = PyBytes_AS_STRING(hops);
    end = start + PyBytes_GET_SIZE(hops);
    for (const char *comma = end; comma > start; comma--)
        if (comma[-1] == ',') {
            at = comma;
            break;
        }
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    client = node_of(at, end - at);
    if (client == NULL)
        return NULL;
    result = PyTuple_Pack(3, client, scheme, memchr(start, ',', (size_t)(at - start)) != NULL
                                                 ? Py_True
                                                 : Py_False);
    Py_DECREF(client);
    return result;
}
