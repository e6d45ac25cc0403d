"""The Cython core of batchwire: dialects, plan, dispatch, upstreams, and the session that joins them.

Must never import grpc, read a configuration file or open a file.
"""

from .dialects.multipart.boundaries import content_type_of, new_boundary, parse_boundary
from .dispatch.limits import Limits
from .errors import BatchwireError, ConfigError, EnvelopeError
from .header_rules import header_verdict
from .inspect import check_document
from .memory import tune_malloc
from .route import Route
from .session.batch import OUTCOMES, stats
from .session.batch_head import BatchHead
from .session.session import Session
from .upstream.asgi.upstream import AsgiUpstream
from .upstream.base import Upstream
from .upstream.names import Names
from .upstream.pool import HttpUpstream

__all__ = [
    "OUTCOMES",
    "AsgiUpstream",
    "BatchHead",
    "BatchwireError",
    "ConfigError",
    "EnvelopeError",
    "HttpUpstream",
    "Limits",
    "Names",
    "Route",
    "Session",
    "Upstream",
    "check_document",
    "content_type_of",
    "header_verdict",
    "new_boundary",
    "parse_boundary",
    "stats",
    "tune_malloc",
]
