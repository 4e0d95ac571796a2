"""Metrics are packed into requests of a bounded size; what a collector says is read with care."""

import gatewright
from gatewright.metrics.push import batches, body, partial_success
from gatewright.metrics.wire import VARINT, field, fields, split, text, varint


def test_whole_metrics_fill_a_request_and_a_large_one_goes_alone() -> None:
    sizes = [3, 4, 9, 20, 1, 1]
    packed = [[len(one) for one in batch] for batch in batches((bytes(size) for size in sizes), 10)]
    assert packed == [[3, 4], [9], [20], [1, 1]]


def test_nothing_to_send_is_no_request() -> None:
    assert list(batches(iter(()), 10)) == []


def test_a_request_has_the_resource_and_every_metric() -> None:
    content = body([text(1, "a"), text(1, "b" * 200)], b"resource")
    resource_metrics = dict(fields(content))[1]
    assert isinstance(resource_metrics, bytes)
    inside = dict(fields(resource_metrics))
    assert inside[1] == b"resource"
    scope = inside[2]
    assert isinstance(scope, bytes)
    found = list(fields(scope))
    assert found[0] == (1, text(1, "gatewright") + text(2, gatewright.__version__))
    assert [value for number, value in found if number == 2] == [text(1, "a"), text(1, "b" * 200)]


def test_rejected_points_are_read_from_the_answer() -> None:
    answer = field(1, varint(1 << 3 | VARINT) + varint(300) + text(2, "no room"))
    assert partial_success(answer) == (300, "no room")
    assert partial_success(b"") == (0, "")


def test_an_answer_that_makes_no_sense_says_nothing() -> None:
    for answer in (
        b"\x0a",
        b"\xff" * 40,
        b"<html>busy</html>",
        field(1, b"\x08"),
        field(1, b"\x0a\x7fx"),
        b"\x0b",
    ):
        assert partial_success(answer)[0] == 0


def test_delimited_messages_are_split_at_their_lengths() -> None:
    messages = [b"", b"a", b"b" * 300]
    assert list(split(b"".join(varint(len(one)) + one for one in messages))) == messages
