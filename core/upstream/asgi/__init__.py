"""The in-process upstream: an ASGI application in place of a server."""
