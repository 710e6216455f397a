/* Grammar of field names, values and Host; the twin is grammar.py. */

#include "native.h"

const unsigned char TOKEN_LOWER[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 33, 0, 35, 36, 37, 38, 39, 0, 0, 42, 43, 0, 45, 46, 0,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 0, 0, 0, 0, 0, 0,
    0, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 0, 0, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 124, 0, 126, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

int
is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

int
hex_value(char byte)
{
    if (is_digit(byte))
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

int
is_hex(char byte)
{
    return hex_value(byte) >= 0;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

const char *
skip_value(const char *at, const char *end)
{
    while (end - at >= 8) {
        /* Eight bytes at a time, while none is below 0x20 and none is DEL: the subtraction
           borrows into the high bit of such a byte, and of higher ones at most behind it. */
        uint64_t word, del;
        memcpy(&word, at, 8);
        del = word ^ EACH(0x7f);
        if ((((word - EACH(0x20)) & ~word) | ((del - EACH(0x01)) & ~del)) & EACH(0x80)) {
            const char *stop = at + 8;
            for (; at < stop; at++) {
                unsigned char byte = (unsigned char)*at;
                if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
                    return at;
            }
        }
        else {
            at += 8;
        }
    }
    for (; at < end; at++) {
        unsigned char byte = (unsigned char)*at;
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            break;
    }
    return at;
}

int
equals_folded(const char *text, Py_ssize_t size, const char *lower)
{
    if ((size_t)size != strlen(lower))
        return 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        char byte = text[i];
        if (byte >= 'A' && byte <= 'Z')
            byte += 'a' - 'A';
        if (byte != lower[i])
            return 0;
    }
    return 1;
}

int
next_member(const char **at, const char *end, const char **member, Py_ssize_t *size)
{
    while (*at < end) {
        const char *start = *at;
        const char *comma = memchr(start, ',', (size_t)(end - start));
        const char *stop = comma == NULL ? end : comma;
        *at = comma == NULL ? end : comma + 1;
        while (start < stop && (*start == ' ' || *start == '\t'))
            start++;
        while (start < stop && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (start < stop) {
            *member = start;
            *size = stop - start;
            return 1;
        }
    }
    return 0;
}

long long
parse_length(const char *text, Py_ssize_t size)
{
    long long length = 0;
    if (size < 1 || size > 18)
        return -1;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (!is_digit(text[i]))
            return -1;
        length = length * 10 + (text[i] - '0');
    }
    return length;
}

/* Whether the text is empty or `":" port`, of at most five digits and 65535. */
static int
is_port(const char *text, Py_ssize_t size)
{
    if (size == 0)
        return 1;
    if (text[0] != ':' || size > 6)
        return 0;
    return size == 1 || (parse_length(text + 1, size - 1) >= 0 &&
                         parse_length(text + 1, size - 1) <= 65535);
}

int
is_valid_host(const char *text, Py_ssize_t size)
{
    Py_ssize_t at = 0;
    if (size > 0 && text[0] == '[') {
        uint16_t groups[8];
        const char *close = memchr(text, ']', (size_t)size);
        if (close == NULL || !parse_ipv6(text + 1, close - text - 1, groups))
            return 0;
        return is_port(close + 1, text + size - close - 1);
    }
    if (size > 0 && text[0] == ':')
        return 0;
    for (; at < size && text[at] != ':'; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte == '%') {
            if (size - at < 3 || !is_hex(text[at + 1]) || !is_hex(text[at + 2]))
                return 0;
            at += 2;
        }
        /* RFC 3986 §2.3, §2.2: unreserved and sub-delims, which tokens nearly are */
        else if (byte == '(' || byte == ')' || byte == ',' || byte == ';' || byte == '=') {
        }
        else if (!TOKEN_LOWER[byte] || byte == '#' || byte == '^' || byte == '`' || byte == '|') {
            return 0;
        }
    }
    return is_port(text + at, size - at);
}

const struct name NAMES[] = {
    /* requests */
    {"host", HOST},
    {"content-length", CONTENT_LENGTH},
    {"transfer-encoding", TRANSFER_ENCODING},
    {"connection", CONNECTION},
    {"expect", EXPECT},
    {"upgrade", UPGRADE},
    {"forwarded", FORWARDED},
    {"x-forwarded-for", FORWARDED},
    {"x-forwarded-host", FORWARDED},
    {"x-forwarded-port", FORWARDED},
    {"x-forwarded-prefix", FORWARDED},
    {"x-forwarded-proto", FORWARDED},
    {"keep-alive", HOP_BY_HOP},
    {"proxy-connection", HOP_BY_HOP},
    {"te", TE},
    {"accept", PLAIN},
    {"accept-charset", PLAIN},
    {"accept-encoding", PLAIN},
    {"accept-language", PLAIN},
    {"access-control-request-headers", PLAIN},
    {"access-control-request-method", PLAIN},
    {"authorization", PLAIN},
    {"b3", PLAIN},
    {"baggage", PLAIN},
    {"cache-control", PLAIN},
    {"cdn-loop", PLAIN},
    {"cf-connecting-ip", PLAIN},
    {"cf-ipcountry", PLAIN},
    {"cf-ray", PLAIN},
    {"cf-visitor", PLAIN},
    {"content-encoding", PLAIN},
    {"content-type", PLAIN},
    {"cookie", PLAIN},
    {"dnt", PLAIN},
    {"from", PLAIN},
    {"idempotency-key", PLAIN},
    {"if-match", PLAIN},
    {"if-modified-since", PLAIN},
    {"if-none-match", PLAIN},
    {"if-range", PLAIN},
    {"if-unmodified-since", PLAIN},
    {"origin", PLAIN},
    {"pragma", PLAIN},
    {"priority", PLAIN},
    {"range", PLAIN},
    {"referer", PLAIN},
    {"sec-ch-ua", PLAIN},
    {"sec-ch-ua-mobile", PLAIN},
    {"sec-ch-ua-platform", PLAIN},
    {"sec-fetch-dest", PLAIN},
    {"sec-fetch-mode", PLAIN},
    {"sec-fetch-site", PLAIN},
    {"sec-fetch-user", PLAIN},
    {"sec-gpc", PLAIN},
    {"sec-websocket-extensions", PLAIN},
    {"sec-websocket-key", PLAIN},
    {"sec-websocket-protocol", PLAIN},
    {"sec-websocket-version", PLAIN},
    {"traceparent", PLAIN},
    {"tracestate", PLAIN},
    {"true-client-ip", PLAIN},
    {"upgrade-insecure-requests", PLAIN},
    {"user-agent", PLAIN},
    {"via", PLAIN},
    {"x-amzn-trace-id", PLAIN},
    {"x-api-key", PLAIN},
    {"x-b3-parentspanid", PLAIN},
    {"x-b3-sampled", PLAIN},
    {"x-b3-spanid", PLAIN},
    {"x-b3-traceid", PLAIN},
    {"x-client-ip", PLAIN},
    {"x-cloud-trace-context", PLAIN},
    {"x-correlation-id", PLAIN},
    {"x-csrf-token", PLAIN},
    {"x-envoy-attempt-count", PLAIN},
    {"x-envoy-external-address", PLAIN},
    {"x-original-uri", PLAIN},
    {"x-real-ip", PLAIN},
    {"x-request-id", PLAIN},
    {"x-request-start", PLAIN},
    {"x-requested-with", PLAIN},
    {"x-scheme", PLAIN},
    /* responses */
    {"date", DATE},
    {"server", SERVER},
    {"accept-ranges", PLAIN},
    {"access-control-allow-credentials", PLAIN},
    {"access-control-allow-headers", PLAIN},
    {"access-control-allow-methods", PLAIN},
    {"access-control-allow-origin", PLAIN},
    {"access-control-expose-headers", PLAIN},
    {"access-control-max-age", PLAIN},
    {"age", PLAIN},
    {"allow", PLAIN},
    {"content-disposition", PLAIN},
    {"content-language", PLAIN},
    {"content-location", PLAIN},
    {"content-range", PLAIN},
    {"content-security-policy", PLAIN},
    {"cross-origin-opener-policy", PLAIN},
    {"etag", PLAIN},
    {"expires", PLAIN},
    {"last-modified", PLAIN},
    {"link", PLAIN},
    {"location", PLAIN},
    {"permissions-policy", PLAIN},
    {"referrer-policy", PLAIN},
    {"retry-after", PLAIN},
    {"server-timing", PLAIN},
    {"set-cookie", PLAIN},
    {"strict-transport-security", PLAIN},
    {"trailer", PLAIN},
    {"vary", PLAIN},
    {"www-authenticate", PLAIN},
    {"x-accel-buffering", PLAIN},
    {"x-content-type-options", PLAIN},
    {"x-frame-options", PLAIN},
    {"x-process-time", PLAIN},
    {"x-xss-protection", PLAIN},
    {NULL, PLAIN},
};

unsigned
name_slot(const State *state, const char *text, Py_ssize_t size)
{
    /* size is at least 1 */
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned slot = (unsigned)size * 31u + bytes[0] * 7u + bytes[size / 2] * 67u +
                    bytes[size - 1] * 13u;
    for (;; slot++) {
        PyObject *name = state->names[slot %= NAME_SLOTS].object;
        if (name == NULL || (PyBytes_GET_SIZE(name) == size &&
                             memcmp(PyBytes_AS_STRING(name), text, (size_t)size) == 0))
            return slot;
    }
}
