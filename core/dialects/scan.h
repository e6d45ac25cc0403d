/* Byte scanning for the text dialects: runs of plain characters, UTF-8 sequences, JSON escapes.
 *
 * Every function looks at p[i..n) only and never beyond n. The SSE2 branch and the portable branch
 * answer alike; a function that meets something broken or cut says so and leaves the verdict to the
 * caller's byte-wise machine, so that there is one place that decides what an error is.
 */
#ifndef BATCHWIRE_SCAN_H
#define BATCHWIRE_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* First index >= i whose byte is a quote, a backslash, a control character or not ASCII. */
static inline ptrdiff_t bw_plain_run(const uint8_t *p, ptrdiff_t i, ptrdiff_t n)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    while (n - i >= 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        /* Signed comparison: bytes from 0x80 up count as below the space too. */
        const int found = _mm_movemask_epi8(_mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)), _mm_cmplt_epi8(x, space)));
        if (found)
            return i + __builtin_ctz((unsigned)found);
        i += 16;
    }
#endif
    while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* First index >= i whose byte must be escaped in a JSON string: quote, backslash, control character. */
static inline ptrdiff_t bw_unescaped_run(const uint8_t *p, ptrdiff_t i, ptrdiff_t n)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
    while (n - i >= 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        const int found = _mm_movemask_epi8(_mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
            _mm_cmpeq_epi8(_mm_min_epu8(x, last), x)));
        if (found)
            return i + __builtin_ctz((unsigned)found);
        i += 16;
    }
#endif
    while (i < n && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* The six bytes, or fewer, that each byte becomes inside a JSON string, and how many; filled by bw_escape_prepare(). */
static uint8_t bw_escapes[256][8];

static inline void bw_escape_prepare(void)
{
    static const char digits[] = "0123456789abcdef";
    for (int c = 0; c < 256; c++) {
        uint8_t *e = bw_escapes[c];
        e[0] = (uint8_t)c;
        e[7] = 1;
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        e[0] = '\\';
        e[7] = 2;
        switch (c) {
        case '"': case '\\': e[1] = (uint8_t)c; break;
        case '\n': e[1] = 'n'; break;
        case '\r': e[1] = 'r'; break;
        case '\t': e[1] = 't'; break;
        default:
            memcpy(e + 1, "u00", 3);
            e[4] = (uint8_t)digits[c >> 4];
            e[5] = (uint8_t)digits[c & 15];
            e[7] = 6;
        }
    }
}

/* Writes p[0..n) as the inside of a JSON string to out, which has room for 6 * n + 16 bytes; returns the length. */
static inline ptrdiff_t bw_escape(const uint8_t *p, ptrdiff_t n, uint8_t *out)
{
    uint8_t *const start = out;
    const uint8_t *const end = p + n;
    while (p < end) {
        const uint8_t *stop = end - p > 16 ? p + 16 : end;
#if defined(__SSE2__)
        if (end - p >= 16) {
            const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
            const __m128i x = _mm_loadu_si128((const __m128i *)p);
            _mm_storeu_si128((__m128i *)out, x);
            if (!_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
                                                _mm_cmpeq_epi8(_mm_min_epu8(x, last), x)))) {
                p += 16;
                out += 16;
                continue;
            }
        }
#endif
        while (p < stop) {
            const uint8_t *e = bw_escapes[*p++];
            memcpy(out, e, 8);
            out += e[7];
        }
    }
    return out - start;
}

/* How many bytes bw_escape() writes of p[0..n). */
static inline ptrdiff_t bw_escaped_length(const uint8_t *p, ptrdiff_t n)
{
    ptrdiff_t length = n, i = 0;
    while ((i = bw_unescaped_run(p, i, n)) < n)
        length += bw_escapes[p[i++]][7] - 1;
    return length;
}

/* Index of the quote or backslash that follows; for text that has been validated. */
static inline ptrdiff_t bw_quote_run(const uint8_t *p, ptrdiff_t i, ptrdiff_t n)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    while (n - i >= 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        const int found =
            _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)));
        if (found)
            return i + __builtin_ctz((unsigned)found);
        i += 16;
    }
#endif
    while (i < n && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* Length of the well-formed sequence of two to four bytes at p (RFC 3629); 0: broken or cut. */
static inline ptrdiff_t bw_utf8_length(const uint8_t *p, ptrdiff_t left)
{
    const uint8_t c = p[0];
    if (c < 0xe0)
        return c >= 0xc2 && left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (c < 0xf0) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    }
    if (c > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* Offset of the first byte that is not part of well-formed UTF-8, or n. */
static inline ptrdiff_t bw_utf8_run(const uint8_t *p, ptrdiff_t i, ptrdiff_t n)
{
    for (;;) {
#if defined(__SSE2__)
        while (n - i >= 16) {
            const int high = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(p + i)));
            if (high) {
                i += __builtin_ctz((unsigned)high);
                break;
            }
            i += 16;
        }
#endif
        while (i < n && p[i] < 0x80)
            i++;
        if (i >= n)
            return n;
        do {
            const ptrdiff_t length = bw_utf8_length(p + i, n - i);
            if (!length)
                return i;
            i += length;
        } while (i < n && p[i] >= 0x80);
    }
}

/* The number that four hexadecimal digits stand for, or -1. */
static inline int bw_hex4(const uint8_t *p)
{
    int value = 0;
    for (int k = 0; k < 4; k++) {
        const int c = p[k];
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value << 4 | ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* Length (2 or 6) of the escape at p, which starts with a backslash; 0: broken or cut. */
static inline ptrdiff_t bw_escape_length(const uint8_t *p, ptrdiff_t left)
{
    if (left < 2)
        return 0;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return 2;
    case 'u':
        break;
    default:
        return 0;
    }
    return left >= 6 && bw_hex4(p + 2) >= 0 ? 6 : 0;
}

/* The low half of a surrogate pair that is escaped at p, or -1. */
static inline int bw_low_half(const uint8_t *p, ptrdiff_t left)
{
    const int code = left >= 6 && p[0] == '\\' && p[1] == 'u' ? bw_hex4(p + 2) : -1;
    return code >= 0xdc00 && code <= 0xdfff ? code : -1;
}

/* Whether an escape in the inside of a valid JSON string is half of a surrogate pair without the other half. */
static inline int bw_has_half_pair(const uint8_t *p, ptrdiff_t n)
{
    ptrdiff_t i = 0;
    while ((i = bw_quote_run(p, i, n)) < n) {
        int code;
        if (p[i + 1] != 'u') {
            i += 2;
            continue;
        }
        code = bw_hex4(p + i + 2);
        i += 6;
        if (code >= 0xd800 && code <= 0xdfff) {
            if (code > 0xdbff || bw_low_half(p + i, n - i) < 0)
                return 1;
            i += 6;
        }
    }
    return 0;
}

/* Runs through the inside of a JSON string: index of the closing quote, or of the first byte that is broken
 * or whose sequence is cut by n. Sets *escaped when it passes an escape. */
static inline ptrdiff_t bw_string_run(const uint8_t *p, ptrdiff_t i, ptrdiff_t n, int *escaped)
{
    for (;;) {
        ptrdiff_t length;
        i = bw_plain_run(p, i, n);
        if (i >= n || p[i] == '"')
            return i;
        if (p[i] == '\\') {
            *escaped = 1;
            length = bw_escape_length(p + i, n - i);
        } else {
            length = p[i] < 0x80 ? 0 : bw_utf8_length(p + i, n - i);
        }
        if (!length)
            return i;
        i += length;
        while (i < n && p[i] >= 0x80 && (length = bw_utf8_length(p + i, n - i)) != 0)
            i += length;
    }
}

/* Writes the UTF-8 of a part of the inside p[0..n) of a valid JSON string to out, which has room for the bytes that are
 * read; returns the length. Reads from *at up to `stop`, which is not inside a UTF-8 sequence, and an escape that begins
 * before it to its end; *at is behind that then. Half of a surrogate pair has no UTF-8 and becomes U+FFFD: sets *half. */
static inline ptrdiff_t bw_unescape_part(const uint8_t *p, ptrdiff_t *at, ptrdiff_t stop, ptrdiff_t n, uint8_t *out,
                                         int *half)
{
    ptrdiff_t i = *at, end = 0;
    while (i < stop) {
        uint32_t code;
        const ptrdiff_t run = bw_quote_run(p, i, stop);
        memcpy(out + end, p + i, (size_t)(run - i));
        end += run - i;
        i = run;
        if (i >= stop)
            break;
        switch (p[i + 1]) {
        case 'b': code = '\b'; break;
        case 'f': code = '\f'; break;
        case 'n': code = '\n'; break;
        case 'r': code = '\r'; break;
        case 't': code = '\t'; break;
        case 'u': code = (uint32_t)bw_hex4(p + i + 2); i += 4; break;
        default: code = p[i + 1];
        }
        i += 2;
        if (code >= 0xd800 && code <= 0xdfff) {
            const int low = code <= 0xdbff ? bw_low_half(p + i, n - i) : -1;
            if (low >= 0) {
                code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
                i += 6;
            } else {
                code = 0xfffd;
                *half = 1;
            }
        }
        if (code < 0x80) {
            out[end++] = (uint8_t)code;
        } else if (code < 0x800) {
            out[end++] = (uint8_t)(0xc0 | code >> 6);
            out[end++] = (uint8_t)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            out[end++] = (uint8_t)(0xe0 | code >> 12);
            out[end++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
            out[end++] = (uint8_t)(0x80 | (code & 0x3f));
        } else {
            out[end++] = (uint8_t)(0xf0 | code >> 18);
            out[end++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
            out[end++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
            out[end++] = (uint8_t)(0x80 | (code & 0x3f));
        }
    }
    *at = i;
    return end;
}

/* The same of a whole inside, whose halves of surrogate pairs have been looked for. */
static inline ptrdiff_t bw_unescape(const uint8_t *p, ptrdiff_t n, uint8_t *out)
{
    ptrdiff_t at = 0;
    int half = 0;
    return bw_unescape_part(p, &at, n, n, out, &half);
}

#endif
