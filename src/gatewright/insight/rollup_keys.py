"""What roll-ups tell apart, and how many of those there may be."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

OTHER = "other"
"""Stands for every name beyond the bound."""


class Key(NamedTuple):
    """Whose requests are counted together. What a record does not have is an empty text, or 0."""

    route_id: str
    backend_service: str
    backend_instance: str
    status: int
    tenant_id: str


FIELDS = Key._fields
"""The fields of the record that roll-ups can filter and group by."""


def coarser(key: Key) -> Iterable[Key]:
    """The key, then keys that tell less and less apart: of any instance, of any tenant, of anything."""
    yield key
    key = key._replace(backend_instance=OTHER if key.backend_instance else "")
    yield key
    yield key._replace(tenant_id=OTHER if key.tenant_id else "")
    yield Key(OTHER, OTHER, OTHER, key.status // 100 * 100, OTHER)


class KeyBound:
    """Keeps how many keys there are within a bound: half as many again as `limit`, and one for each class of
    statuses. `coarsened` counts what had to be told less apart.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.coarsened = 0

    def fit(self, key: Key, known: Container[Key], count: int) -> Key:
        """The finest key that is known, or for which there is room beside `count` others."""
        if key in known:
            return key
        # Each coarser kind has a share of its own, so that a flood of instances leaves room for routes.
        limits = (self.limit, self.limit + self.limit // 4, self.limit + self.limit // 2)
        for one, limit in zip(coarser(key), limits, strict=False):
            if one in known or count < limit:
                self.coarsened += one != key
                return one
        self.coarsened += 1
        return list(coarser(key))[-1]
