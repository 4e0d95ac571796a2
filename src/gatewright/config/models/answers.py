"""Models of what the gateway answers by itself."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from gatewright.config.models.base import OneOrMany, Section, Text


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
