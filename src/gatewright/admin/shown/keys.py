"""API keys of the store, as operations show them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class SecretShown(BaseModel):
    """One of the secrets of a key; a key that was rotated has two for a while."""

    prefix: str = Field(description="How its text begins, by which people tell secrets apart.")
    created_at: str
    expires_at: str | None


class KeyShown(BaseModel):
    """A key, without its text. Times are RFC 3339."""

    id: str
    state: Literal["active", "expired", "revoked"]
    partner: str
    consumer: str | None
    tier: str | None = Field(description="`null` for that of the route.")
    scopes: list[str]
    networks: list[str] = Field(description="Where it may be used from; none: everywhere.")
    metadata: dict[str, str]
    created_at: str
    created_by: str | None
    expires_at: str | None
    changed_at: str | None
    changed_by: str | None
    revoked_at: str | None
    revoked_by: str | None
    revoked_why: str | None
    last_used_at: str | None
    secrets: list[SecretShown]


class MadeKeyShown(KeyShown):
    """A key with its text."""

    key: str = Field(description="What its owner sends. It is in this one answer, and kept nowhere.")


class KeysShown(BaseModel):
    """Keys by id."""

    keys: list[KeyShown]
    next: str | None = Field(description="What `after` has to be for the keys that follow, if any may.")


class HourShown(BaseModel):
    """The requests of one hour."""

    hour: str = Field(description="Its begin.")
    requests: int


class KeyUsageShown(BaseModel):
    """What a key was used for."""

    id: str
    requests: int
    hours: list[HourShown] = Field(description="Those that had requests.")
