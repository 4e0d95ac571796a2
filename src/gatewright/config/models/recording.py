"""Models of what decision records say: how many there are, and what is kept out of them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import HeaderNames, Name, OneOrMany, Section, Texts

Profile = Literal["standard", "pci"]

PROFILE = (
    "`pci` is for routes that see card data: no query, no user agent and no headers are recorded, `user_id` "
    "is hashed, `client_ip` is shortened, and card numbers are masked."
)


def _off(value: object) -> object:
    """Read `off`: every request is recorded."""
    return None if value is False or value == "off" else value


def _form_alone(value: object) -> object:
    return {"form": value} if isinstance(value, str) else value


class Sample(Section):
    """Records a share of the successes while there are many. Refusals, errors, answers of 400 and above,
    logins and the ends of WebSockets are always recorded. Each record says in `sampling_weight` how many
    requests it stands for.
    """

    full_rate: int = Field(
        10_000,
        ge=0,
        le=10_000_000,
        description="Successes per second of a node up to which all are recorded; above it `ratio` of them.",
    )
    ratio: float = Field(
        0.1,
        ge=0.0001,
        le=1,
        description="The share of the successes that is recorded above `full_rate`.",
    )
    by: Literal["request", "caller", "trace"] = Field(
        "request",
        description="What is kept or left out together: each request by itself, all of a caller (user, else "
        "partner, else client address), or all of a trace. Nodes of a fleet choose the same ones.",
    )


SampleField = Annotated[Sample | None, BeforeValidator(_off)]


class Redact(Section):
    """What is kept out of records beside the secrets that always are."""

    query: Texts = Field(
        default_factory=list,
        description="Further parameters of the query whose values are secret, in any case and with or "
        "without `_` and `-`.",
    )
    headers: HeaderNames = Field(
        default_factory=list,
        description="Further headers whose values are secret, where `records.headers` records them.",
    )
    card_numbers: bool = Field(
        True,
        description="Whether card numbers (13 to 19 digits that fit together as those of a card do) are "
        "masked but for their last four digits, in path, query, user agent and headers.",
    )
    client_ip: Literal["full", "shortened"] = Field(
        "full", description="`shortened`: the /24 of an IPv4 address, the /48 of an IPv6 one."
    )


class HashKey(Section):
    """A key that user ids are hashed with."""

    id: Annotated[Name, Field(max_length=20)] = Field(
        description="Stands in front of each hash, so that one can tell which key made it."
    )
    secret: Annotated[str, Field(min_length=32)] = Field(
        description="Secret of the HMAC, at least 32 characters; best as `${file:...}` or `${env:...}`. "
        "Every node that is to give the same hash needs the same."
    )


class UserId(Section):
    """How users are named in records: by their id, or by a keyed hash of it (HMAC-SHA256) that nobody without
    the key can tell the user from. A word alone means `form`.
    """

    form: Literal["plain", "hashed"] = Field(
        "plain", description="`hashed`: as `KEY_ID:HASH`, with `rotate` as `KEY_ID.YYYYMMDD:HASH`."
    )
    keys: Annotated[list[HashKey], OneOrMany] = Field(
        default_factory=list,
        max_length=10,
        description="The first one hashes. Further ones are earlier keys, by which `gatewright records "
        "--user` still finds older records.",
    )
    rotate: Literal["never", "daily", "monthly"] = Field(
        "never",
        description="How long a user has the same hash: for as long as the key is the first, for a day or "
        "for a month (UTC).",
    )

    @model_validator(mode="after")
    def _has_keys(self) -> "UserId":
        if self.form == "hashed" and not self.keys:
            message = "`form: hashed` needs `keys`: a list of `{id: NAME, secret: ...}`"
            raise ValueError(message)
        names = [key.id for key in self.keys]
        for name in names:
            if names.count(name) > 1:
                message = f"two keys have the id `{name}`; nobody could tell which one made a hash"
                raise ValueError(message)
        return self


UserIdField = Annotated[UserId, BeforeValidator(_form_alone)]


class RecordedHeaders(Section):
    """Headers that records tell. Values of secret ones (`Authorization`, `Cookie`, keys of identities and the
    like) are `***`.
    """

    request: HeaderNames = Field(
        default_factory=list, max_length=20, description="Headers of requests, as clients sent them."
    )
    response: HeaderNames = Field(
        default_factory=list, max_length=20, description="Headers of answers, as services sent them."
    )


class RouteRecords(Section):
    """How the records of a route differ from those of others."""

    profile: Profile | None = Field(None, description=f"{PROFILE} `records.profile` by default.")
    sample: SampleField = Field(
        None,
        description="A rate and share of the route's own, or `off`: all of its requests are recorded. "
        "`records.sample` by default.",
    )
