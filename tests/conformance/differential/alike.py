"""Spellings that mean the same: what a peer may write otherwise without anybody seeing another request."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import unquote_to_bytes

from conformance.differential.service import Seen


def path_escapes(seen: Seen) -> Seen:
    """Decoded once. A `%` that was escaped does not become the beginning of another escape."""
    path, mark, query = seen.target.partition("?")
    return replace(seen, target=unquote_to_bytes(path.encode("latin-1")).decode("latin-1") + mark + query)


def query_escapes(seen: Seen) -> Seen:
    path, mark, query = seen.target.partition("?")
    upper = re.sub("%[0-9a-f]{2}", lambda found: found[0].upper(), query, flags=re.IGNORECASE)
    return replace(seen, target=path + mark + upper)


def empty_query(seen: Seen) -> Seen:
    return replace(seen, target=seen.target.removesuffix("?") if seen.target.count("?") == 1 else seen.target)


def absolute_target(seen: Seen) -> Seen:
    bare = re.sub("^https?://[^/?]*", "", seen.target, flags=re.IGNORECASE)
    return replace(seen, target=bare if bare.startswith("/") else "/" + bare)


def host_spelling(seen: Seen) -> Seen:
    """Lower case, no final dot, no default port, IPv6 addresses in their short form."""
    found = re.fullmatch(r"(\[[^]]*\]|[^:]*)(:[0-9]+)?", seen.host)
    if found is None:
        return seen
    name, port = found[1].lower().removesuffix("."), found[2] or ""
    if name.startswith("["):
        name = f"[{ipaddress.ip_address(name[1:-1])}]"
    return replace(seen, host=name + ("" if port == ":80" else port))


def host_port(seen: Seen) -> Seen:
    return replace(seen, host=re.sub(r":[0-9]+$", "", seen.host))


ALIKE: dict[str, Callable[[Seen], Seen]] = {
    "absolute target": absolute_target,
    "path escapes": path_escapes,
    "query escapes": query_escapes,
    "empty query": empty_query,
    "host spelling": host_spelling,
    "host port": host_port,
}


def spelled(seen: Sequence[Seen], names: Sequence[str]) -> list[Seen]:
    """The requests with these spellings made one, in the order of `ALIKE`."""
    made = list(seen)
    for name in (name for name in ALIKE if name in names):
        made = [ALIKE[name](one) for one in made]
    return made
