"""Revocations of tokens, as operations show them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class RevocationShown(BaseModel):
    """Tokens that count no more. Times are RFC 3339."""

    id: str
    kind: Literal["token", "subject", "identity"]
    identity: str | None = Field(description="`null` for all identities.")
    value: str | None = Field(description="The `jti` or the subject; `null` with the kind `identity`.")
    issued_before: str | None = Field(description="Tokens issued before this; `null` with the kind `token`.")
    until: str
    changed_at: str
    by: str
    why: str | None


class RevocationSharingShown(BaseModel):
    """How the node stands with the Redis of revocations."""

    connected: bool


class RevocationsShown(BaseModel):
    """Revocations that are in force, by id."""

    revocations: list[RevocationShown]
    more: bool = Field(description="Whether others follow behind the last id.")
    entries: int = Field(description="What is kept, restored ones included.")
    max_entries: int
    save_failures: int
    sharing: RevocationSharingShown | None = Field(description="`null` where revocations are not shared.")


class RevokedShown(BaseModel):
    """What a change came to."""

    revocations: list[RevocationShown]
    stored: bool = Field(description="Whether it outlives this process; else it is tried again.")
    shared: bool | None = Field(
        description="Whether other nodes were told; `null` where revocations are not shared."
    )
