"""Holds records against their published schema, more strictly than a reader does: what the schema does not
know is wrong.
"""

import re
from collections.abc import Iterator
from typing import Any

from gatewright.records.schema import FIELDS, record_schema

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}
# A keyword that is not looked at would be a promise that nobody holds.
KNOWN = {
    *("$schema", "title", "description", "type", "enum", "pattern", "minimum", "maximum", "properties"),
    *("required", "additionalProperties", "items", "anyOf", "const"),
}


def check_record(record: dict[str, Any]) -> None:
    """Demand that a record is as the schema says, with its fields in their order and no others."""
    schema = record_schema() | {"additionalProperties": False}
    decisions = schema["properties"]["decisions"]
    decisions["items"] = decisions["items"] | {"additionalProperties": False}
    problems = list(problems_of(record, schema, "record"))
    assert problems == [], record
    order = [name for name in FIELDS if name in record]
    assert list(record) == order


def problems_of(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Give everything about a value that is not as its schema says."""
    assert set(schema) <= KNOWN, f"{where}: {set(schema) - KNOWN}"
    if "anyOf" in schema:
        found = [list(problems_of(value, one, where)) for one in schema["anyOf"]]
        yield from min(found, key=len)
        return
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    names = schema.get("type", list(TYPES))
    types = [names] if isinstance(names, str) else names
    if not any(is_of(value, one) for one in types):
        yield f"{where}: {value!r} is none of {types}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where}: {value!r} does not match {schema['pattern']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from problems_of_number(value, schema, where)
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from problems_of(item, schema.get("items", {}), f"{where}[{place}]")
    if isinstance(value, dict):
        yield from problems_of_object(value, schema, where)


def is_of(value: Any, name: str) -> bool:
    """To JSON `true` is no number."""
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def problems_of_number(value: float, schema: dict[str, Any], where: str) -> Iterator[str]:
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where}: {value!r} is out of bounds"


def problems_of_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        yield f"{where}: {missing} are missing"
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from problems_of(item, properties[name], f"{where}.{name}")
        elif others is False:
            yield f"{where}: {name} is unknown"
        elif isinstance(others, dict):
            yield from problems_of(item, others, f"{where}.{name}")
