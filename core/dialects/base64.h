/* base64 (RFC 4648): encoding to the URL alphabet without padding, decoding of either alphabet. */
#ifndef BATCHWIRE_BASE64_H
#define BATCHWIRE_BASE64_H

#include <stddef.h>
#include <stdint.h>

static const char bw_base64url[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Two characters for each value of 12 bits, and the value of each character or 0xff. */
static uint8_t bw_base64_pairs[4096][2];
static uint8_t bw_base64_values[256];

static inline void bw_base64_prepare(void)
{
    for (int i = 0; i < 4096; i++) {
        bw_base64_pairs[i][0] = (uint8_t)bw_base64url[i >> 6];
        bw_base64_pairs[i][1] = (uint8_t)bw_base64url[i & 63];
    }
    for (int i = 0; i < 256; i++)
        bw_base64_values[i] = 0xff;
    for (int i = 0; i < 64; i++)
        bw_base64_values[(uint8_t)bw_base64url[i]] = (uint8_t)i;
    bw_base64_values['+'] = 62;
    bw_base64_values['/'] = 63;
}

/* Writes (n * 4 + 2) / 3 characters. */
static inline void bw_base64_encode(const uint8_t *p, ptrdiff_t n, uint8_t *out)
{
    ptrdiff_t i = 0;
    for (; n - i >= 3; i += 3, out += 4) {
        const uint32_t x = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        const uint8_t *high = bw_base64_pairs[x >> 12], *low = bw_base64_pairs[x & 4095];
        out[0] = high[0];
        out[1] = high[1];
        out[2] = low[0];
        out[3] = low[1];
    }
    if (n - i == 2) {
        const uint32_t x = (uint32_t)p[i] << 10 | (uint32_t)p[i + 1] << 2;
        out[0] = bw_base64_pairs[x >> 6][0];
        out[1] = bw_base64_pairs[x >> 6][1];
        out[2] = (uint8_t)bw_base64url[x & 63];
    } else if (n - i == 1) {
        const uint8_t *pair = bw_base64_pairs[(uint32_t)p[i] << 4];
        out[0] = pair[0];
        out[1] = pair[1];
    }
}

/* Decodes n characters (padding already taken off) to n * 3 / 4 bytes; 0 when a character is foreign. */
static inline int bw_base64_decode(const uint8_t *p, ptrdiff_t n, uint8_t *out)
{
    const uint8_t *value = bw_base64_values;
    uint8_t wrong = 0;
    ptrdiff_t i = 0;
    for (; n - i >= 4; i += 4, out += 3) {
        const uint8_t a = value[p[i]], b = value[p[i + 1]], c = value[p[i + 2]], d = value[p[i + 3]];
        wrong |= a | b | c | d;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        out[1] = (uint8_t)(b << 4 | c >> 2);
        out[2] = (uint8_t)(c << 6 | d);
    }
    if (n - i >= 2) {
        const uint8_t a = value[p[i]], b = value[p[i + 1]];
        wrong |= a | b;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        if (n - i == 3) {
            const uint8_t c = value[p[i + 2]];
            wrong |= c;
            out[1] = (uint8_t)(b << 4 | c >> 2);
        }
    }
    return !(wrong & 0x80);
}

#endif
