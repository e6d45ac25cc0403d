"""Requests over HTTP that are no batch, and what all requests share: ASGI, served apps, who is behind a proxy."""
