"""Models of callers with a name and a password, and of how passwords are checked."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gatewright.config.models.base import Name, Section, Text, Texts
from gatewright.config.quantities import Duration, duration


def _user_name(value: str) -> str:
    if ":" in value or not value.isprintable() or value != value.strip():
        message = "must have no colon, no control characters, and no spaces at its ends"
        raise ValueError(message)
    return value


def _realm(value: str) -> str:
    if not all(" " <= character <= "~" and character not in '"\\' for character in value):
        message = "must be visible ASCII and spaces, without quotes and backslashes"
        raise ValueError(message)
    return value


UserName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_user_name)]
Realm = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_realm)]


def _file_or_list(value: object) -> object:
    if isinstance(value, str):
        return {"file": value}
    return {"users": value} if isinstance(value, list) else value


class PasswordUser(Section):
    """A caller with a password. Only its hash is kept."""

    user: UserName = Field(
        description="Name that the caller gives; becomes `X-User-ID`. No colon: it ends the name."
    )
    hash: Text = Field(
        description="Hash of the password, `$argon2id$...`, as `gatewright password` prints it. Memory and "
        "rounds that it names are what a check takes: from 7 MiB to 1 GiB, and 20 rounds at most."
    )
    scopes: Texts = Field(default_factory=list, description="Scopes of this caller.")
    roles: Texts = Field(default_factory=list, description="Roles of this caller.")
    tier: Text | None = Field(None, description="Tier that replaces the route's for this caller.")


class Users(Section):
    """Where users are. A file's path alone may stand for it, and so may the list."""

    file: Text | None = Field(
        None, description='JSON file `{"users": [...]}`, relative to the configuration file.'
    )
    users: list[PasswordUser] | None = Field(None, description="The users themselves.")

    @model_validator(mode="after")
    def _one_source(self) -> "Users":
        if (self.file is None) == (self.users is None):
            message = "give exactly one of `file`, `users`"
            raise ValueError(message)
        return self


class BasicIdentity(Section):
    """Callers who prove themselves with a name and a password (RFC 7617): `Basic` in `Authorization`."""

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["basic"] = Field("basic", description="`basic`; must be written in files.")
    realm: Realm = Field("gateway", description="What a browser shows when it asks for the password.")
    users: Annotated[Users, BeforeValidator(_file_or_list)] = Field(description="Who may call.")


class Passwords(Section):
    """How passwords are checked: slowly on purpose, by threads beside the requests, and once for as long as
    the outcome is remembered.
    """

    cache_ttl: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("5m"),
        description="How long a password that was right is believed without another check. A changed hash, "
        "or a user who is gone, counts from the next request.",
    )
    cache: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Right passwords that are remembered, by a hash under a key of the process; above it "
        "those not used for longest are checked again. Wrong ones are remembered for a second.",
    )
    threads: int = Field(2, ge=1, le=64, description="Passwords that are checked at once.")
    timeout: Annotated[Duration, duration("100ms", "30s")] = Field(
        Duration.of("3s"), description="How long a request waits for a check; then 503."
    )
    max_checks: int = Field(
        50, ge=1, le=10_000, description="Checks that may be under way or wait; above it 503."
    )
    checks_per_address: int = Field(
        10,
        ge=1,
        le=100_000,
        description="Checks that one client address may cause in a second; above it 503.",
    )
