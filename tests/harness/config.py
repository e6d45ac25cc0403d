"""Gateway configurations of the tests as plain dictionaries, written out as TOML.

Must never hold a port that is not given by the system.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

Config = dict[str, Any]
NATIVE = "native"
GRPCIO = "grpcio"
SERVED_BY = (NATIVE, GRPCIO)
"""The fronts of the gateway, as [listen] names them."""


def to_toml(config: Mapping[str, Any], prefix: str = "") -> str:
    """TOML of nested tables, arrays of tables and scalar values (strings, numbers, booleans, lists)."""
    plain: list[str] = []
    tables: list[str] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            tables.append(f"\n[{name}]\n{to_toml(value, name + '.')}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables.extend(f"\n[[{name}]]\n{to_toml(item, name + '.')}" for item in value)
        else:
            plain.append(f"{key} = {json.dumps(value)}\n")
    return "".join(plain + tables)


BASE: Config = {
    "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "workers": 1, "grace_seconds": 10},
    "log": {"format": "json", "level": "info"},
}


def make(upstreams: Config, routes: list[Config], limits: Config | None = None, **sections: Config) -> Config:
    """A whole configuration; `sections` add to or overrule single keys of the base."""
    config = copy.deepcopy(BASE)
    for section, keys in sections.items():
        config.setdefault(section, {}).update(keys)
    if limits:
        config["limits"] = limits
    config["upstreams"] = upstreams
    config["routes"] = routes
    return config


def served(served_by: str, config: Config) -> Config:
    """The same configuration with another front."""
    return {**config, "listen": {**config["listen"], "front": served_by}}


def contract(things: str, other: str, dead: str) -> Config:
    """The configuration of the contract tests.

    `things` and `other` are origins such as "http://127.0.0.1:4711". Every route but /mounted/orders/
    leads to the root "/" of `things`; /base/ leads to its "/api/v1/", /dead/ to `dead`, where nobody listens.
    """
    upstreams = {
        "things": {"url": things + "/"},
        "based": {"url": things + "/api/v1/"},
        "trusted": {"url": things + "/", "forward_authorization": True},
        "orders": {"url": other + "/"},
        "dead": {"url": dead + "/"},
    }
    routes: list[Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
        {"root": "/strict/", "upstream": "things", "profile": "strict"},
        {"root": "/compatible/", "upstream": "things", "profile": "compatible"},
        {"root": "/old/", "upstream": "things", "status_202": True},
        {"root": "/trusted/", "upstream": "trusted"},
        {"root": "/dropping/", "upstream": "things", "allow_inner_authorization": "drop"},
        {"root": "/base/", "upstream": "based"},
        {"root": "/dead/", "upstream": "dead"},
        {
            "root": "/mounted/",
            "upstream": "things",
            "mounts": [{"prefix": "/mounted/orders/", "upstream": "orders"}],
        },
    ]
    for route in routes:
        route["origin"] = "http://gw.example"
    return make(upstreams, routes)


def small_limits(things: str) -> Config:
    """The same upstream behind limits that a test reaches quickly; /stream/ validates nothing ahead."""
    limits = {
        "max_calls": 5,
        "max_request_bytes": 20_000,
        "max_call_bytes": 4_000,
        "max_response_bytes": 5_000,
        "max_depth": 8,
        "max_header_bytes": 4_096,
        "max_in_flight": 2,
    }
    routes: list[Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    return make({"things": {"url": things + "/"}}, routes, limits)


def batching(form: str, things: str, other: str, plain: str) -> Config:
    """Routes to upstreams that take batches themselves, in this form.

    /svc/ leads to `things`, but /svc/orders/ to `other`, which takes batches too, and /svc/plain/ to `plain`, which
    does not. /coalesced/ puts up to 20 calls into a batch, /hasty/ gives a call a second.
    """
    upstreams = {
        "things": {"url": things + "/", "batch": form},
        "orders": {"url": other + "/", "batch": form},
        "plain": {"url": plain + "/"},
        "coalesced": {"url": things + "/", "batch": form, "coalesce": 20},
        "hasty": {"url": things + "/", "batch": form, "call_timeout_seconds": 1},
    }
    routes: list[Config] = [
        {
            "root": "/svc/",
            "upstream": "things",
            "default": True,
            "mounts": [
                {"prefix": "/svc/orders/", "upstream": "orders"},
                {"prefix": "/svc/plain/", "upstream": "plain"},
            ],
        },
        {"root": "/coalesced/", "upstream": "coalesced"},
        {"root": "/hasty/", "upstream": "hasty"},
        {"root": "/flat/", "upstream": "things", "flat_change_sets": True},
    ]
    for route in routes:
        route["origin"] = "http://gw.example"
    return make(upstreams, routes, {"max_group_calls": 30})


def clients(things: str, other: str, **listen: object) -> Config:
    """Routes with each key that clients of their own ways need (rules CL); none has an origin but /several/."""
    upstreams = {
        "things": {"url": things + "/"},
        "patched": {"url": things + "/", "merge": "PATCH"},
        "trusted": {"url": things + "/", "forward_authorization": True},
        "orders": {"url": other + "/"},
    }
    routes: list[Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/patched/", "upstream": "patched"},
        {"root": "/on/", "upstream": "things", "continue_on_error": True},
        {"root": "/odata/", "upstream": "things", "dialects": ["odata"]},
        {"root": "/several/", "upstream": "things", "origin": ["https://gw.example", "http://inside:8080"]},
        {"root": "/trusted/", "upstream": "trusted"},
        {"root": "/reject/", "upstream": "trusted", "allow_inner_authorization": "reject"},
        {"root": "/drop/", "upstream": "trusted", "allow_inner_authorization": "drop"},
        {
            "root": "/forward/",
            "upstream": "things",
            "forward_headers": ["Cookie", "x-csrf-token", "x-my-*", "X-Auth-User"],
        },
        {"root": "/all/", "upstream": "things", "forward_headers": ["*"]},
        {"root": "/none/", "upstream": "things", "forward_headers": []},
        {
            "root": "/picked/",
            "upstream": "things",
            "forward_headers": ["X-*", "X-Secret-Known"],
            "drop_headers": ["X-Secret*", "x-my-thing"],
            "keep_headers": ["X-Auth-Token"],
        },
        {
            "root": "/deny/",
            "upstream": "things",
            "drop_headers": ["X-Secret*", "x-one"],
            "keep_headers": ["X-Auth-Token"],
        },
        {
            "root": "/mounted/",
            "upstream": "things",
            "mounts": [{"prefix": "/mounted/orders/", "upstream": "orders"}],
        },
    ]
    return make(upstreams, routes, listen=dict(listen))
