"""Models of what the gateway answers by itself, and of how answers go out."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from gatewright.config.models.base import HeaderValue, OneOrMany, Section, Text
from gatewright.config.quantities import Size, size


def _status(value: int | str) -> int | str:
    number = int(value) if isinstance(value, int) or value.isdigit() else None
    if number is not None and 400 <= number <= 599:
        return number
    if value in {"4xx", "5xx"}:
        return value
    message = f"`{value}` is no status of an error; write one from 400 to 599, `4xx` or `5xx`"
    raise ValueError(message)


ErrorStatus = Annotated[int | str, AfterValidator(_status)]


class ErrorPage(Section):
    """One look of some errors. `{status}`, `{reason}`, `{error}`, `{message}`, `{request_id}` and
    `{retry_after}` stand for what happened.
    """

    status: Annotated[list[ErrorStatus], OneOrMany, Field(min_length=1)] = Field(
        description="Statuses that it is for: `404`, or `4xx` and `5xx` for all of a class. A page for the "
        "status itself goes before one for its class, then the first goes first."
    )
    html: Annotated[Text, Field(max_length=262_144)] | None = Field(
        None,
        description="A page for those who would rather have HTML than JSON, at most 256 KiB; "
        "`${file:errors/404.html}` takes it from a file. What is put in is always escaped.",
    )
    json_body: Any = Field(
        None,
        alias="json",
        description="The body for everybody else, as data; words may stand in its texts.",
    )

    @model_validator(mode="after")
    def _some_body(self) -> "ErrorPage":
        if self.html is None and self.json_body is None:
            message = "an error page needs `html` or `json`"
            raise ValueError(message)
        return self


class ErrorPages(Section):
    """How errors look. A route's own pages are asked before those of the configuration."""

    pages: Annotated[list[ErrorPage], OneOrMany] = Field(default_factory=list, description="Pages by status.")
    built_in: bool | None = Field(
        None,
        description="Give those who would rather have HTML a plain page of the gateway where none of `pages` "
        "is for the status. A route has the configuration's by default, and that is `false`.",
    )
    intercept: bool | None = Field(
        None,
        description="Answer with these pages where a service answered with 5xx: its status stays, but of its "
        "headers only `Retry-After` goes on, and nothing of its body. A route has the configuration's by "
        "default, and that is `false`.",
    )


def _inside(name: str) -> str:
    if not name or ".." in name.split("/") or "\0" in name:
        message = f"`{name}` is no name of a file below `root`"
        raise ValueError(message)
    return name


def _ending(name: str) -> str:
    return name.removeprefix(".").lower()


FileName = Annotated[str, AfterValidator(_inside)]


class Static(Section):
    """Answers `GET` and `HEAD` with files of a directory."""

    root: Text = Field(
        description="The directory, relative to this file. The whole path names the file in it; "
        "`strip_prefix` takes something from its front. Nothing outside is ever sent."
    )
    index: Annotated[list[FileName], OneOrMany] = Field(
        default_factory=lambda: ["index.html"],
        description="Names that are tried where the path ends with a slash; `[index.html]` by default.",
    )
    fallback: FileName | None = Field(
        None,
        description="File that is sent, with 200 and `Cache-Control: no-cache`, where there is no other: "
        "`index.html` for pages that route by themselves.",
    )
    precompressed: Annotated[list[Literal["br", "zst", "gz"]], OneOrMany] = Field(
        default_factory=list,
        description="Endings of compressed forms that may lie beside a file, such as `app.js.br`; sent to "
        "clients that take them, of equals the first of this list.",
    )
    cache_control: HeaderValue | None = Field(None, description="`Cache-Control` of the answers.")
    types: dict[Annotated[str, AfterValidator(_ending)], HeaderValue] = Field(
        default_factory=dict,
        description="Content types by the ending of a name; they go before the built-in ones.",
    )
    hidden: bool = Field(
        False,
        description="Send files whose name, or a directory in it, begins with a dot. `/.well-known` is "
        "always open.",
    )


TEXTUAL = (
    "text/*",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-ndjson",
    "application/graphql-response+json",
    "*+json",
    "*+xml",
)
"""What shrinks: text in its many names."""


def _media_type(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.+-]+/(\*|[a-z0-9.+-]+)|\*\+[a-z0-9.-]+", text.lower()):
        message = f"`{text}` is no media type; write `application/json`, `text/*` or `*+json`"
        raise ValueError(message)
    return text.lower()


class Compression(Section):
    """Compresses answers of the service for clients that take it. `on` stands for all defaults."""

    algorithms: Annotated[list[Literal["zstd", "br", "gzip"]], OneOrMany, Field(min_length=1)] = Field(
        default_factory=lambda: ["zstd", "br", "gzip"],
        description="Codings; of those that a client likes alike the first is taken. `[zstd, br, gzip]` by "
        "default.",
    )
    minimum: Annotated[Size, size("0B", "1GiB")] = Field(
        Size.of("1KiB"), description="Bodies that are known to be shorter go on as they are."
    )
    types: Annotated[list[Annotated[str, AfterValidator(_media_type)]], OneOrMany] = Field(
        default_factory=lambda: list(TEXTUAL),
        description="Media types that are compressed; textual ones by default.",
    )
    zstd_level: int = Field(3, ge=1, le=9, description="Effort of `zstd`.")
    br_level: int = Field(4, ge=0, le=6, description="Effort of `br`.")
    gzip_level: int = Field(5, ge=1, le=9, description="Effort of `gzip`.")
