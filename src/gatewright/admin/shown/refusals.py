"""Every answer that is none of what was asked for."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class RefusalShown(BaseModel):
    """Why an operation was not done."""

    error: str = Field(description="In one word, for programs.")
    message: str = Field(description="For people: what is wrong, and what would work.")
    request_id: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    "default": {"model": RefusalShown, "description": "It was not done."}
}
"""For a router: all of its operations may answer so."""
