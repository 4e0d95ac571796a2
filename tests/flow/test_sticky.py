"""Balance: clients that come back to the instance that they had."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway import Client, Node, Origin, Response, encode

SECRET = "a secret of sixteen characters"


@pytest.fixture
def origins() -> Iterator[list[Origin]]:
    """Three instances of one service."""
    with ExitStack() as stack:
        yield [stack.enter_context(Origin()) for _ in range(3)]


def config(origins: list[Origin], sticky: str = "", options: str = "") -> str:
    instances = ", ".join(f'"{origin.address}"' for origin in origins)
    given = f"sticky: {{secret: '{SECRET}', cookie: gw{sticky and ', ' + sticky}}}"
    more = "circuit_breaker: off, slow_start: 0s" + (options and ", " + options)
    return f"""
services: [{{name: users, instances: [{instances}], {given}, {more}}}]
routes: [{{name: users, match: "/*", service: users}}]
"""


def come(node: Node, cookie: str | None) -> Response:
    with Client(node.address) as client:
        client.send(encode("/", headers=[] if cookie is None else [("Cookie", f"a=b; {cookie}")]))
        return client.response()


def pinned(response: Response) -> str:
    """What a browser sends back."""
    return str(response.get("set-cookie")).split(";")[0]


def test_a_client_comes_back_to_its_instance_over_reloads(origins: list[Origin]) -> None:
    with Node(config(origins)) as node:
        first = come(node, None)
        told = str(first.get("set-cookie"))
        assert told.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        instance = node.record()["backend_instance"]
        assert instance not in told
        for number in range(4):
            if number == 2:
                node.apply(config(list(reversed(origins)), options="balance: random"))
            again = come(node, pinned(first))
            record = node.record()
            assert record["backend_instance"] == instance
            assert record["decisions"][-1]["inputs"] == {"sticky": "kept"}
            assert again.get("set-cookie") is None
            assert pinned(first) not in str(record)


def test_a_cookie_has_the_attributes_that_it_is_given(origins: list[Origin]) -> None:
    with Node(config(origins, "path: /shop, max_age: 1h, same_site: strict, secure: false")) as node:
        told = str(come(node, None).get("set-cookie"))
        assert told.endswith("; Path=/shop; Max-Age=3600; HttpOnly; SameSite=Strict")


def test_a_client_of_an_ejected_instance_gets_another_one_and_stays_there(origins: list[Origin]) -> None:
    with Node(config(origins, options="ejection: {consecutive_gateway_errors: 1}")) as node:
        first = pinned(come(node, None))
        lost = node.record()["backend_instance"]
        next(origin for origin in origins if origin.address == lost).stop()
        # It closed its connection and takes no new one, so that this client loses nothing either.
        assert come(node, first).status == 200
        assert node.record()["attempts"] == 2
        moved = come(node, first)
        record = node.record()
        assert (moved.status, record["decisions"][-1]["inputs"]) == (200, {"sticky": "moved"})
        assert come(node, pinned(moved)).status == 200
        assert node.record()["backend_instance"] == record["backend_instance"] != lost


def test_a_draining_instance_keeps_its_clients_as_long_as_told(origins: list[Origin]) -> None:
    with Node(config(origins)) as node:
        first = pinned(come(node, None))
        instance = node.record()["backend_instance"]
        node.engine.drain_instance("users", instance, True)
        come(node, first)
        assert node.record()["backend_instance"] == instance
        for _ in range(6):
            come(node, None)
        assert instance not in {record["backend_instance"] for record in node.records(6)}
        node.apply(config(origins, "drain_wait: 0s"))
        come(node, first)
        assert node.record()["backend_instance"] != instance
