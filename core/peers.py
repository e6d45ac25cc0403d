"""How a client's address is written: one form for every front, so that logs and bounds take it for one client."""

_MAPPED = "::ffff:"


def peer_name(host: str, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`; an IPv4 address that came over IPv6 is one of IPv4.

    >>> peer_name("::ffff:192.0.2.1", 80), peer_name("2001:db8::1", 80)
    ('192.0.2.1:80', '[2001:db8::1]:80')
    """
    if host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
