"""Models of addresses: lists of them, where they are, how good their reputation is, and which may ask."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gatewright.config.models.base import HeaderName, Name, OneOrMany, Section, Text, Texts
from gatewright.config.quantities import Duration, Size, duration, size

Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Countries = Annotated[list[Country], OneOrMany]
Score = Annotated[int, Field(ge=1, le=100)]


class AddressList(Section):
    """Networks under a name, for `addresses` of routes and of `screening`."""

    name: Name = Field(description="Name in `allow` and `deny`, in records and metrics.")
    addresses: Texts = Field(
        default_factory=list,
        description="Addresses and networks: `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`. "
        "IPv4 written as IPv6 is the same address.",
    )
    file: Text | None = Field(
        None,
        description="A file of them instead, one a line; what follows `#` or `;` is a comment. It is looked "
        "at every second, and read again when it changes; a wrong file changes nothing.",
    )
    max_entries: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Networks that the file may have; one with more is refused. In memory each takes 8 bytes "
        "of IPv4 or 32 of IPv6 at most; while a file is read, several times that.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "AddressList":
        if self.file is None and not self.addresses:
            message = "give `addresses` or `file`"
            raise ValueError(message)
        if self.file is not None and self.addresses:
            message = "give `addresses` or `file`, not both"
            raise ValueError(message)
        return self


class AddressRule(Section):
    """Which addresses may ask: names of `address_lists`, and networks. `deny` wins."""

    allow: Texts | None = Field(None, description="Only these may ask; all by default.")
    deny: Texts = Field(default_factory=list, description="These may not, whatever `allow` says.")

    @model_validator(mode="after")
    def _something(self) -> "AddressRule":
        if self.allow is None and not self.deny:
            message = "give `allow`, `deny` or both"
            raise ValueError(message)
        return self


class CountryRule(Section):
    """From which countries requests may come, by `geography`. `deny` wins."""

    allow: Countries | None = Field(
        None, description="Only these, as two letters (ISO 3166-1) such as `DE`; all by default."
    )
    deny: Countries = Field(default_factory=list, description="Not these, whatever `allow` says.")
    unknown: Literal["allow", "deny"] | None = Field(
        None,
        description="What becomes of addresses whose country is not known, private ones for example. `deny` "
        "where there is `allow`, else `allow`.",
    )

    @model_validator(mode="after")
    def _something(self) -> "CountryRule":
        if self.allow is None and not self.deny:
            message = "give `allow`, `deny` or both"
            raise ValueError(message)
        return self


class ReputationRule(Section):
    """What becomes of requests from networks of bad reputation, by the scores of `reputation`."""

    challenge_below: Score | None = Field(
        None, description="With a lower score than this a browser has to meet the `challenge` first."
    )
    refuse_below: Score | None = Field(None, description="With a lower score than this 403.")

    @model_validator(mode="after")
    def _in_order(self) -> "ReputationRule":
        if self.challenge_below is None and self.refuse_below is None:
            message = "give `challenge_below`, `refuse_below` or both"
            raise ValueError(message)
        if (self.challenge_below or 101) <= (self.refuse_below or 0):
            message = "`challenge_below` has to be above `refuse_below`, or nobody would be challenged"
            raise ValueError(message)
        return self


class Geography(Section):
    """Which country an address is of."""

    file: Text = Field(
        description="A database of MaxMind's format with countries, such as `GeoLite2-Country.mmdb`. It is "
        "held in memory, looked at every second, and read again when it changes."
    )
    max_size: Annotated[Size, size("1KiB", "4GiB")] = Field(
        Size.of("256MiB"), description="Size of the file; a larger one is refused."
    )
    record: bool = Field(True, description="Whether records tell the country (`country`).")
    header: HeaderName | None = Field(
        None,
        description="Header that tells services the country, such as `X-Client-Country`; none by default. "
        "What clients send under this name does not go on.",
    )


class Reputation(Section):
    """How good the reputation of networks is: a score from 0 to 100."""

    file: Text = Field(
        description="A file of lines `NETWORK,SCORE`, where the smallest network that has an address speaks; "
        "others have 100. Looked at every second, and read again when it changes."
    )
    max_entries: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Networks that the file may have; one with more is refused. In memory each takes 18 "
        "bytes of IPv4 or 66 of IPv6 at most.",
    )


class Challenge(Section):
    """What a browser has to do where `reputation` says so. Programs get 403 `challenge_required`."""

    difficulty: int = Field(
        16,
        ge=1,
        le=26,
        description="Zero bits that the browser has to find: each more doubles the work. 16 take a laptop a "
        "fraction of a second.",
    )
    lifetime: Annotated[Duration, duration("1m", "30d")] = Field(
        Duration.of("1h"), description="How long the work is good for, at the address where it was done."
    )
    secret: Annotated[str, Field(min_length=32)] | None = Field(
        None,
        description="Proofs are made with it. Nodes behind one name need the same; by default each process "
        "makes its own, and proofs end with it.",
    )
    redirect: Annotated[str, Field(pattern=r'^https?://[^\s<>"\\]+$')] | None = Field(
        None,
        description="A page of a CAPTCHA to send browsers to instead; it sets the cookie itself, by "
        "`secret`.",
    )


class Screening(Section):
    """What holds for the address of every request, before its route is looked for."""

    addresses: AddressRule | None = Field(None, description="Which addresses may ask; all by default.")
    countries: CountryRule | None = Field(None, description="From which countries; from all by default.")
    reputation: ReputationRule | None = Field(
        None, description="What becomes of networks of bad reputation; nothing by default."
    )
    max_blocks: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Networks that `gatewright addresses block` may have blocked at one time; further ones "
        "are not taken.",
    )
