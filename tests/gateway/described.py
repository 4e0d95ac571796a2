"""A node whose every answer is held against what it says of its answers."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx2

from gateway.schema import problems_of

DEADLINE = 60.0


class Described:
    """A node at this address of its admin listener."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.document = self._ask("GET", "/openapi.json").json()

    def _ask(self, method: str, path: str, body: object = None) -> httpx2.Response:
        return httpx2.request(method, self._url + path, json=body, timeout=30, trust_env=False)

    def answer(self, method: str, path: str, body: object = None) -> Any:
        """What it answers, which is as it says."""
        response = self._ask(method, path, body)
        operation = self._operation(method, path.partition("?")[0])
        said = operation["responses"]
        name = next(one for one in (str(response.status_code), "default") if one in said)
        schema = said[name]["content"]["application/json"]["schema"]
        assert schema != {}, f"nothing is said of {path}"
        told = response.json()
        assert list(problems_of(told, self._whole(schema), path)) == [], told
        return told

    def awaited(self, path: str, wanted: Callable[[Any], bool]) -> Any:
        """What a look answers as soon as that is as wanted."""
        end = time.monotonic() + DEADLINE
        while not wanted(told := self.answer("GET", path)):
            assert time.monotonic() < end, told
            time.sleep(0.05)
        return told

    def _operation(self, method: str, path: str) -> Any:
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return operations[method.lower()]
        raise LookupError(path)

    def _whole(self, schema: Any) -> Any:
        """The schema without references, in which objects have nothing but what they say."""
        if isinstance(schema, list):
            return [self._whole(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self._whole(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        whole = {name: self._whole(part) for name, part in schema.items() if name != "default"}
        if "properties" in whole and isinstance(whole.get("type"), str):
            whole.setdefault("additionalProperties", False)
        return whole
