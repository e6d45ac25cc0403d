"""Which header fields of a call may pass: what HTTP asks for, and a deny list of names that proxies vouch for.

The names are a trie that is walked once for each field: most fields leave it at their second or third character.
Letters count in any case, and whatever is no letter or digit counts as `-`, because CGI-style servers fold these
(CL-12). Must never let the configuration touch what framing and connections need.
"""
from batchwire.core.errors import ConfigError
from libc.stdint cimport int16_t, uint8_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

import re

cdef enum:
    SYMBOLS = 37              # 26 letters, 10 digits, and everything else
    VERDICTS = 7              # in `whole`: the bits of the verdict
    BUILT_IN = 8              # marks: on the deny list below
    KEPT = 16                 # the configuration takes it off that list
    DROPPED = 32              # the configuration's own
    MOST_NODES = 32767

cdef uint8_t[256] SYMBOL
for _c in range(256):
    if 97 <= _c <= 122:
        SYMBOL[_c] = _c - 97
    elif 65 <= _c <= 90:
        SYMBOL[_c] = _c - 65
    elif 48 <= _c <= 57:
        SYMBOL[_c] = _c - 48 + 26
    else:
        SYMBOL[_c] = 36

# What a message of HTTP is made of: no configuration changes it.
cdef dict FIXED = {
    DROP: b"""accept-encoding batchwire-hop content-length host http2-settings keep-alive proxy-authenticate
        proxy-connection trailer upgrade via""".split(),
    REFUSE: b"authorization expect from max-forwards proxy-authorization range te".split(),
    CONTENT_TYPE: [b"content-type"],
    TRANSFER_ENCODING: [b"transfer-encoding"],
    CONNECTION: [b"connection"],
}

# CL-12. Who the client is, how it came and what it was let do are the words of proxies before a service, which
# believes them: inside a call they would be the client's own words. Background: CVE-2022-24112, CVE-2025-29927, httpoxy.
DENIED = """
    forwarded x-forwarded* x-real-ip x-client-ip x-cluster-client-ip x-originating-ip x-proxyuser-* true-client-ip
    x-true-client-ip fastly-client-ip x-azure-clientip x-azure-socketip x-arr-* x-envoy-* l5d-* x-istio-*
    x-original-* x-rewrite-* x-host x-url-scheme x-scheme front-end-https
    x-http-method* x-method-override
    cf-*
    remote-* x-remote-* x-auth-* x-authenticated-* x-authentik-* x-authelia-* x-webauth-* x-vouch-* x-pomerium-*
    x-jwt-* x-userinfo x-user-info x-consumer-* x-credential-* x-anonymous-consumer tailscale-*
    x-amzn-oidc-* x-amzn-mtls-* x-amzn-verified-* x-goog-iap-* x-goog-authenticated-* x-endpoint-api-*
    x-apigateway-api-* x-ms-client-principal* x-ms-token-* x-mesh-*
    ssl-client-* x-ssl-* x-client-cert* x-client-dn x-client-verify client-cert* tls-client-* x-tls-client-* x-mtls-*
    proxy x-accel-* x-sendfile* x-middleware-*
""".split()

_PATTERN = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?|\*")


cdef class HeaderRules:
    """drop: names and patterns (a `*` at the end) of more fields to drop. keep: those that the deny list is not for."""

    def __init__(self, drop=(), keep=()):
        for text in (*drop, *keep):
            if _PATTERN.fullmatch(text) is None:
                raise ConfigError(f"{text!r} is no name of a header, nor the beginning of one and *")
        self.nodes = 1
        self.steps = <int16_t*>calloc(SYMBOLS, sizeof(int16_t))
        self.whole = <uint8_t*>calloc(1, 1)
        self.begun = <uint8_t*>calloc(1, 1)
        for verdict, names in FIXED.items():
            for name in names:
                self.whole[self.enter(name)] |= <uint8_t>verdict
        for mark, patterns in ((BUILT_IN, DENIED), (KEPT, keep), (DROPPED, drop)):
            for pattern in patterns:
                text = pattern.encode()
                node = self.enter(text.removesuffix(b"*"))
                if text.endswith(b"*"):
                    self.begun[node] |= <uint8_t>mark
                elif mark != BUILT_IN and self.whole[node] & VERDICTS > DROP:
                    raise ConfigError(f"{pattern} is a header that a call needs, or is refused for")
                else:
                    self.whole[node] |= <uint8_t>mark

    def __dealloc__(self):
        free(self.steps)
        free(self.whole)
        free(self.begun)

    cdef int enter(self, bytes text) except -1:
        """The node of a text, made where it is new."""
        cdef int node = 0, following
        cdef void* more
        for c in bytearray(text):
            following = self.steps[node * SYMBOLS + SYMBOL[c]]
            if following == 0:
                following = self.nodes
                if following >= MOST_NODES:
                    raise ConfigError("there are too many headers to drop and to keep")
                more = realloc(self.steps, (following + 1) * SYMBOLS * sizeof(int16_t))
                if more == NULL:
                    raise MemoryError()
                self.steps = <int16_t*>more
                memset(self.steps + following * SYMBOLS, 0, SYMBOLS * sizeof(int16_t))
                more = realloc(self.whole, following + 1)
                if more == NULL:
                    raise MemoryError()
                self.whole = <uint8_t*>more
                more = realloc(self.begun, following + 1)
                if more == NULL:
                    raise MemoryError()
                self.begun = <uint8_t*>more
                self.whole[following] = self.begun[following] = 0
                self.steps[node * SYMBOLS + SYMBOL[c]] = <int16_t>following
                self.nodes += 1
            node = following
        return node

    cdef int verdict(self, const char* name, Py_ssize_t n) noexcept nogil:
        """A Verdict."""
        cdef Py_ssize_t i
        cdef int node = 0, fixed = PASS
        cdef uint8_t marks = self.begun[0]
        for i in range(n):
            node = self.steps[node * SYMBOLS + SYMBOL[<uint8_t>name[i]]]
            if node == 0:
                break
            marks |= self.begun[node]
        else:
            marks |= self.whole[node]
            fixed = marks & VERDICTS
        if fixed > REFUSE:
            # Another spelling is never the header itself, only an attempt to pass for it.
            for i in range(n):
                if SYMBOL[<uint8_t>name[i]] == 36 and name[i] != c'-':
                    return DROP
        if fixed:
            return fixed
        if marks & DROPPED or (marks & BUILT_IN and not marks & KEPT):
            return DROP
        return PASS

    def verdict_on(self, bytes name not None):
        """verdict() for tests and tools: "pass", "drop", "refuse", or what the field is for."""
        return ("pass", "drop", "refuse", "content-type", "transfer-encoding", "connection")[
            self.verdict(name, len(name))]


cdef dict MADE = {}


def header_verdict(bytes name not None):
    """What becomes of a field of this name inside a call where no configuration says anything about it."""
    return header_rules().verdict_on(name)


def header_rules(drop=(), keep=()):
    """HeaderRules, one for all routes that say the same."""
    key = (frozenset(drop), frozenset(keep))
    if key not in MADE:
        MADE[key] = HeaderRules(drop, keep)
    return MADE[key]
