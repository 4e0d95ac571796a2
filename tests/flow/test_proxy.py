"""Proxy: the request goes to the service and its response comes back, as they were."""

from gateway import Node, Origin, get, steps


def test_a_request_reaches_the_service_and_its_answer_the_client() -> None:
    with (
        Origin() as origin,
        Node(
            f"""
services: [{{name: users, instances: ["{origin.address}"]}}]
routes: [{{name: users, match: {{path: "/users/*"}}, service: users}}]
"""
        ) as node,
    ):
        response = get(node.address, "/users/1?x=y")
        assert (response.status, response.body) == (200, b"ok")
        assert origin.next_request().line == "GET /users/1?x=y HTTP/1.1"
        record = node.record()
        assert record["request_id"] == response.get("x-request-id")
        assert record["route_id"] == "users"
        assert ("route", "matched") in steps(record)
