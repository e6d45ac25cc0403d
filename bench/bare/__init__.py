"""The bare HTTP/1.1 client: what a call costs on uvloop with nothing around it. Never part of the product."""
