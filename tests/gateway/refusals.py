"""What all refusals of the gateway have in common, checked in one place: answer, headers and record."""

import re
from dataclasses import dataclass, field
from typing import Any

from gateway.client import Response
from gateway.node import Node, Record

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Refused:
    """A refusal as it should be."""

    status: int
    code: str
    stage: str
    """Stage of the decision that refused."""
    rule: tuple[str | int, ...] | None = None
    """Where in the configuration the rule stands that refused; `None` for no rule."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """Inputs of the decision; others may be there, too."""
    error_type: str | None = None
    """Of the record, where it is not the code."""
    retry_after: int | None = None
    """Seconds, or -1 for any number from 1."""
    closes: bool = False
    """Whether the connection ends."""
    body: dict[str, Any] = field(default_factory=dict)
    """Further members of the body."""

    def check(self, node: Node, response: Response, record: Record | None = None) -> Record:
        """Compare the answer and its record, which is the next one unless told; give the record."""
        record = node.record() if record is None else record
        self._check_answer(response)
        self._check_record(node, record)
        assert record["request_id"] == response.get("x-request-id")
        return record

    def _check_answer(self, response: Response) -> None:
        assert response.status == self.status, response
        body = response.json()
        assert body["error"] == self.code
        assert body["message"]
        assert body["request_id"] == response.get("x-request-id")
        assert self.body.items() <= body.items()
        assert response.get("content-type") == "application/json"
        assert response.get("cache-control") == "no-store"
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", response.get("x-response-time-ms") or "")
        assert response.get("date")
        assert response.closes == self.closes
        told = response.get("retry-after")
        assert body.get("retry_after") == (int(told) if told else None)
        if self.retry_after == -1:
            assert told
            assert int(told) >= 1
        else:
            assert told == (None if self.retry_after is None else str(self.retry_after))

    def _check_record(self, node: Node, record: Record) -> None:
        assert record["status"] == self.status
        assert record["error_type"] == (self.error_type or self.code)
        assert record["error_message"]
        assert record["config_version"] == node.version
        decision = record["decisions"][-1]
        assert (decision["stage"], decision["verdict"]) == (self.stage, "refused")
        assert self.inputs.items() <= decision["inputs"].items(), decision
        expected = None if self.rule is None else node.at(*self.rule)
        assert decision["at"] == expected
