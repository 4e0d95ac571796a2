"""Addresses, as operations show them."""

from __future__ import annotations

from pydantic import BaseModel, Field


class BlockShown(BaseModel):
    """A network from which every request is refused."""

    network: str
    since: float = Field(description="Seconds since 1970.")
    remaining_seconds: float | None = Field(description="`null` until it is unblocked.")
    why: str | None


class AddressFileShown(BaseModel):
    """A file of addresses."""

    kind: str = Field(description="`addresses`, `geography` or `reputation`.")
    name: str
    entries: int
    bytes: int = Field(description="Of memory.")
    loaded_ms: int = Field(description="When it was read last, in milliseconds since 1970.")
    failures: int | None = Field(None, description="How often it could not be read again.")
    error: str | None = Field(None, description="What was wrong last, as long as it is.")


class BlockSharingShown(BaseModel):
    """How the node stands with the Redis of blocks."""

    connected: bool
    failures: int
    error: str | None


class AddressesShown(BaseModel):
    """What is known of addresses."""

    blocks: list[BlockShown] = Field(description="The first 1,000 by network.")
    blocked: int = Field(description="How many there are.")
    files: list[AddressFileShown]
    sharing: BlockSharingShown | None = Field(description="`null` where blocks are not shared.")


class UnblockedShown(BaseModel):
    """A network that may ask again."""

    unblocked: str
