"""Durations and sizes as people write them: `10s`, `250ms`, `64KiB`."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Quantity(int):
    """A whole number of the smallest unit that is written with a unit."""

    UNITS: ClassVar[dict[str, int]] = {}
    EXAMPLES: ClassVar[str] = ""
    WORD: ClassVar[str] = ""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `10s` or `64KiB`. Raises `ValueError` with what would work."""
        match = re.fullmatch(r"([0-9]{1,12})([A-Za-z]+)", text)
        if match is None or match[2] not in cls.UNITS:
            message = f"expected a {cls.WORD} such as {cls.EXAMPLES}, not `{text}`"
            raise ValueError(message)
        return cls(int(match[1]) * cls.UNITS[match[2]])

    def __str__(self) -> str:
        if not self:
            return f"0{next(unit for unit in ('s', 'B') if unit in self.UNITS)}"
        for unit, size in sorted(self.UNITS.items(), key=lambda item: -item[1]):
            if int(self) % size == 0:
                return f"{int(self) // size}{unit}"
        return str(int(self))

    __repr__ = __str__


class Duration(Quantity):
    """Milliseconds."""

    UNITS: ClassVar[dict[str, int]] = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    EXAMPLES = "`250ms`, `10s`, `5m`, `1h` or `30d`"
    WORD = "duration"


class Size(Quantity):
    """Bytes."""

    UNITS: ClassVar[dict[str, int]] = {
        "B": 1,
        "KB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
    }
    EXAMPLES = "`512B`, `64KiB`, `10MiB` or `1MB`"
    WORD = "size"


@dataclass(frozen=True, slots=True)
class Between:
    """The kind of a quantity and its bounds, both included; a pydantic annotation."""

    kind: type[Quantity]
    minimum: Quantity
    maximum: Quantity

    def read(self, value: object) -> Quantity:
        """Read a quantity and check its bounds. Raises `ValueError` with what would work."""
        quantity = self._typed(value)
        if not self.minimum <= quantity <= self.maximum:
            message = f"must be between `{self.minimum}` and `{self.maximum}`, not `{quantity}`"
            raise ValueError(message)
        return quantity

    def _typed(self, value: object) -> Quantity:
        if isinstance(value, self.kind):
            return value
        if isinstance(value, str):
            return self.kind.of(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            unit = "s" if self.kind is Duration else "B"
            message = f"a {self.kind.WORD} needs its unit: write `{value}{unit}`, not `{value}`"
            raise ValueError(message)
        message = f"expected a {self.kind.WORD} such as {self.kind.EXAMPLES}"
        raise ValueError(message)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        units = "|".join(self.kind.UNITS)
        return {"type": "string", "pattern": f"^([0-9]{{1,12}})({units})$", "x-bounds": self.bounds()}

    def bounds(self) -> str:
        """Say the bounds in words, for the reference."""
        return f"{self.minimum} to {self.maximum}"


def duration(minimum: str, maximum: str) -> Between:
    """Give the annotation of a duration within bounds."""
    return Between(Duration, Duration.of(minimum), Duration.of(maximum))


def size(minimum: str, maximum: str) -> Between:
    """Give the annotation of a size within bounds."""
    return Between(Size, Size.of(minimum), Size.of(maximum))


Timeout = Annotated[Duration, duration("1ms", "1h")]
"""A wait on another party: 1 ms to 1 hour."""
