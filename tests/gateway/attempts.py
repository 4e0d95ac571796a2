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
    """What the record says of each attempt, but for its duration."""
    told = [step["inputs"] for step in record["decisions"] if step["verdict"] == "attempted"]
    assert all(isinstance(one.pop("took_ms"), int) for one in told)
    return told
