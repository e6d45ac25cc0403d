"""A service root and the upstreams that serve what lies under it."""
from batchwire.core.errors import ConfigError
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.header_rules import header_rules
from batchwire.core.upstream.base cimport Upstream

from urllib.parse import unquote_to_bytes


cdef class Route:
    """
    root: public service root, "/" at both ends. mounts: [(prefix, upstream)], prefixes under root with "/" at
    both ends; the longest that matches a call's path takes it, what follows the prefix is put behind that
    upstream's base path; the others go to `upstream`.
    streaming_threshold: bytes of a document up to which it is checked whole before its first call (GW-21).
    inner_authorization: "reject", "same" or "drop" (GW-17, CL-09). flat_change_sets: each call of a change set has its
    own part in a multipart answer (PR-07). drop_headers, keep_headers: of calls, see HeaderRules. bare_batch: a dialect
    takes batches at `batch` and below it, so that no call may go there (CL-11).
    """

    def __init__(self, *, str root, Upstream upstream not None, mounts=(), Limits limits=None,
                 Py_ssize_t streaming_threshold=1 << 20, str inner_authorization="same",
                 bint flat_change_sets=False, drop_headers=(), keep_headers=(),
                 bint bare_batch=True):
        if not root.startswith("/") or not root.endswith("/"):
            raise ConfigError("a service root begins and ends with /")
        if inner_authorization not in ("reject", "same", "drop"):
            raise ConfigError("inner_authorization is reject, same or drop")
        self.root = root.encode()
        self.upstream = upstream
        self.mounts = []
        for prefix, mounted in mounts:
            if not prefix.startswith(root) or not prefix.endswith("/") or prefix == root:
                raise ConfigError(f"the prefix {prefix} does not lie under {root} or does not end with /")
            below = prefix[len(root):len(prefix) - 1].split("/")
            self.mounts.append(([unquote_to_bytes(part) for part in below], mounted))
        self.mounts.sort(key=lambda mount: -len(mount[0]))
        self.limits = limits or Limits()
        self.streaming_threshold = streaming_threshold
        self.inner_authorization = inner_authorization
        self.bare_batch = bare_batch
        self.header_rules = header_rules(drop_headers, keep_headers)
        self.prefixes = [b"/".join(prefix) + b"/" for prefix, _ in self.mounts]
        self.flat_change_sets = flat_change_sets
        self.transactional = upstream.native is not None or any([
            (<Upstream>mounted).native is not None for _, mounted in self.mounts
        ])

    cdef Upstream upstream_of(self, bytes rest, Py_ssize_t* cut):
        """Who serves a path below the root, however it is spelled (OP-10); cut: how much of it the mount takes away."""
        cdef list segments, prefix
        cdef Py_ssize_t i, deepest
        cut[0] = 0
        if not self.mounts:
            return self.upstream
        deepest = len(<list>(<tuple>self.mounts[0])[0])
        segments = rest.partition(b"?")[0].split(b"/", deepest)
        for prefix, upstream in self.mounts:
            if len(segments) <= len(prefix):
                continue
            for i in range(len(prefix)):
                segment = segments[i]
                if segment != prefix[i] and (b"%" not in segment or unquote_to_bytes(segment) != prefix[i]):
                    break
            else:
                for i in range(len(prefix)):
                    cut[0] += len(<bytes>segments[i]) + 1
                return upstream
        return self.upstream
