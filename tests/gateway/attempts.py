"""Routes that ask for further attempts, and what records say of them."""

from gateway.client import Client, encode
from gateway.node import Node, Record

AT_ONCE = "backoff: {base: 0ms, max: 0ms}"


def retry(*settings: str) -> str:
    """A route's option, with no wait between attempts."""
    return f"retry: {{{', '.join([AT_ONCE, *settings])}}}"


def ask(node: Node, method: str = "GET", body: bytes | None = None) -> int:
    with Client(node.address) as client:
        client.send(encode("/", (), method, body))
        return client.response(method).status


def attempts(record: Record) -> list[dict[str, object]]:
    """What the record says of each attempt, but for its times, which lie within those of the request."""
    told = [step["inputs"] for step in record["decisions"] if step["verdict"] == "attempted"]
    for one in told:
        began, took = one.pop("after_ms"), one.pop("took_ms")
        assert 0 <= began <= began + took <= record["total_latency_ms"] + 1
    return told
