"""Models of what callers may do: scopes and roles, permissions, rules."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gatewright.config.models.base import Name, OneOrMany, Section, Text, Texts, exactly_one

_METHODS = re.compile(r"\*|[A-Z][A-Z-]*(\|[A-Z][A-Z-]*)*")


def _all_alone(value: object) -> object:
    return {"all": value} if isinstance(value, str | list | tuple) else value


def _pattern(text: str) -> str:
    """Give a pattern back. Raises `ValueError` with what would work where it matches nothing."""
    plain = text.removeprefix("!")
    methods, space, path = plain.partition(" ")
    if space:
        if not _METHODS.fullmatch(methods):
            message = (
                f"`{text}` is no pattern: before the path stand methods, such as `GET` or `PUT|PATCH`, or `*`"
            )
            raise ValueError(message)
        if not path.startswith("/"):
            message = f"`{text}` is no pattern: a path begins with `/`"
            raise ValueError(message)
        segments = path.split("/")[1:] if path != "/" else []
    else:
        segments = plain.split(":")
    _check_segments(text, segments)
    return text


def _check_segments(text: str, segments: list[str]) -> None:
    faults = {
        "it has an empty segment": "" in segments,
        "`**` stands only at the end": "**" in segments[:-1],
        "`*` is a segment of its own": any("*" in one and one not in {"*", "**"} for one in segments),
        "it has a space inside": any(" " in one for one in segments),
    }
    for fault, is_there in faults.items():
        if is_there:
            message = f"`{text}` is no pattern: {fault}"
            raise ValueError(message)


def _permission(name: str) -> str:
    if "*" in name or " " in name or "" in name.split(":"):
        message = (
            f"`{name}` is no permission; write its segments with `:` between them, such as `orders:read`"
        )
        raise ValueError(message)
    return name


class Demand(Section):
    """What a caller must have of scopes or roles. A list, or one alone, stands for `all`."""

    all: Texts = Field(default_factory=list, description="Those that a caller must have, each of them.")
    any: Texts = Field(default_factory=list, description="Those of which a caller must have one.")
    none: Texts = Field(default_factory=list, description="Those that a caller must not have.")

    def is_demanding(self) -> bool:
        """Say whether somebody without any would be refused."""
        return bool(self.all or self.any)


DemandField = Annotated[Demand, BeforeValidator(_all_alone)]


class AuthRule(Section):
    """An expression in CEL that allows a request or denies it."""

    name: Name = Field(description="Name in records and `explain`.")
    allow: Text | None = Field(
        None, description="Where it holds, the request may pass. Exactly one of `allow` and `deny` is needed."
    )
    deny: Text | None = Field(
        None, description="Where it holds, the request is refused, whatever else allows it."
    )
    message: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="What a caller who is refused is told; that a rule was against it, by default."
    )

    @model_validator(mode="after")
    def _one_expression(self) -> "AuthRule":
        exactly_one(self, "allow", "deny")
        return self


Permission = Annotated[Text, AfterValidator(_permission)]
Patterns = Annotated[list[Annotated[Text, AfterValidator(_pattern)]], OneOrMany, Field(min_length=1)]


class Permissions(Section):
    """What scopes and roles are good for.

    A pattern is a permission, `orders:read`, or methods and a path, `GET|PUT /orders/**`. `*` stands for one
    segment, `**` at the end for any number, none included. `!` before a pattern forbids what it matches,
    whatever else a caller has.
    """

    scopes: dict[Text, Patterns] = Field(default_factory=dict, description="Patterns by the name of a scope.")
    roles: dict[Text, Patterns] = Field(default_factory=dict, description="Patterns by the name of a role.")

    def patterns(self) -> list[str]:
        """Give every pattern."""
        return [pattern for held in (self.scopes, self.roles) for one in held.values() for pattern in one]
