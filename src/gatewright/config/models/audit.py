"""The model of the audit log."""

from typing import Annotated

from pydantic import Field, model_validator

from gatewright.config.models.base import Section
from gatewright.config.quantities import Duration, Size, duration, size


class AuditTrail(Section):
    """How the audit log is kept: the files in `audit` of the state directory."""

    key: Annotated[str, Field(min_length=16)] | None = Field(
        None,
        description="Secret that the hashes of the log are keyed with, so that nobody who can write its "
        "files can forge them; at least 16 characters, best as `${file:...}` or `${env:...}`. Hashes "
        "without a key by default. With another key a new file begins.",
    )
    retention: Annotated[Duration, duration("1d", "3650d")] = Field(
        Duration.of("365d"), description="Age at which whole files are deleted; an entry says which."
    )
    file_size: Annotated[Size, size("64KiB", "1GiB")] = Field(
        Size.of("16MiB"), description="Size at which the next file begins."
    )
    max_size: Annotated[Size, size("1MiB", "1000GiB")] = Field(
        Size.of("1GiB"), description="Size of all files; above it the oldest are deleted."
    )
    decisions: bool | None = Field(
        None,
        description="Whether refusals for safety's sake are written too, and not only what people do. By "
        "default where `records` have a sink; `true` has records made for this alone where they have none.",
    )
    max_decisions_per_second: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Decisions that are written one by one in a second; those above it are counted in one "
        "entry. What people do has no such bound.",
    )
    required: bool = Field(
        False,
        description="Whether operations of the admin API that change something are refused with 503 while "
        "the log cannot be written.",
    )

    @model_validator(mode="after")
    def _several_files(self) -> "AuditTrail":
        if self.max_size < 2 * self.file_size:
            message = "`max_size` has to be twice `file_size` or more, since whole files are deleted"
            raise ValueError(message)
        return self
