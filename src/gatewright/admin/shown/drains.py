"""Draining, as operations show it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class InstancesDrainedShown(BaseModel):
    """What a change of an instance by hand came to."""

    changed: int = Field(description="How many addresses of that name were changed.")


class DrainingShown(BaseModel):
    """The node is about to end."""

    status: Literal["draining"]
