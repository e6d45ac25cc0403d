"""Listeners: sockets, TLS, the protocol of a connection, and the fronts that are made of them."""
