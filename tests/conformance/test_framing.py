"""Smuggling: no bytes are a request to the gateway and something else to a service."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.conftest import Matrix
from conformance.reference import read
from conformance.streams import (
    CHUNK_STREAMS,
    CHUNKS,
    ENCODINGS,
    HEADS,
    LENGTHS,
    NAMES,
    SMUGGLED,
    encoding,
    head,
    length,
)
from gateway import Client


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("value", LENGTHS)
def test_length_is_one_number_or_the_end(matrix: Matrix, value: bytes, version: bytes) -> None:
    reading = matrix.check_one_in_one_out(head(length(value), version=version) + b"hello" + SMUGGLED)
    assert reading.is_bad == (value not in {b"0", b"5", b"05", b"40"})


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("value", ENCODINGS)
def test_encoding_is_exactly_chunked_or_the_end(matrix: Matrix, value: bytes, version: bytes) -> None:
    reading = matrix.check_one_in_one_out(head(encoding(value), version=version) + CHUNKS + SMUGGLED)
    assert reading.is_bad == (value.lower() != b"chunked" or version == b"1.0")


@pytest.mark.parametrize(
    "framings", list(itertools.product([b"0", b"5", b"15"], [b"chunked", b"identity", b""], [0, 1]))
)
def test_length_and_encoding_together_are_the_end(matrix: Matrix, framings: tuple[bytes, bytes, int]) -> None:
    lines = [length(framings[0]), encoding(framings[1])]
    for body in (CHUNKS, b"hello"):
        both = head(*(lines if framings[2] else reversed(lines)))
        assert matrix.check_one_in_one_out(both + body + SMUGGLED).is_bad


@pytest.mark.parametrize("line", [length(b"5"), encoding(b"chunked")])
def test_repeated_framing_is_the_end_even_where_it_agrees(matrix: Matrix, line: bytes) -> None:
    assert matrix.check_one_in_one_out(head(line, line) + CHUNKS + SMUGGLED).is_bad
    assert matrix.check_one_in_one_out(head(line, b"X: 1", line.upper()) + CHUNKS + SMUGGLED).is_bad


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"])
@pytest.mark.parametrize("spelling", NAMES)
def test_names_that_only_look_like_framing_frame_nothing(
    matrix: Matrix, spelling: bytes, name: bytes
) -> None:
    value = b"34" if name == b"Content-Length" else b"chunked"
    reading = matrix.check_one_in_one_out(head(spelling % name + b": " + value) + SMUGGLED)
    assert not any(one.target == "/case" and one.body for one in reading.requests) or spelling == b"%s"


@pytest.mark.parametrize("stream", CHUNK_STREAMS)
def test_chunks_are_read_in_one_way_only(matrix: Matrix, stream: bytes) -> None:
    matrix.check_one_in_one_out(head(encoding(b"chunked")) + stream + SMUGGLED)


@pytest.mark.parametrize("bad", HEADS)
def test_head_that_others_may_read_differently_is_the_end(matrix: Matrix, bad: bytes) -> None:
    """Whatever stands behind it: nothing reaches the service."""
    before = len(matrix.strict.requests)
    for rest in (b"", SMUGGLED):
        answer, received, recorded = matrix.ask(bad + rest)
        record = recorded()
        assert (answer.status, answer.closes, received) == (400, True, None), bad
        assert (record["status"], record["error_type"], record["backend_service"]) == (
            400,
            "bad_request",
            None,
        )
    matrix.check_marker()
    assert len(matrix.strict.requests) == before + 1


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0"])
def test_upgrade_that_is_not_served_leaves_the_rest_a_request_or_nothing(
    matrix: Matrix, upgrade: bytes
) -> None:
    asked = head(
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: " + upgrade,
        b"HTTP2-Settings: AAMAAABk",
        length(b"0"),
    )
    before = len(matrix.strict.requests)
    answer, received, _ = matrix.ask(asked)
    assert received is None or (answer.status, received.get("upgrade"), received.get("http2-settings")) == (
        200,
        None,
        None,
    )
    matrix.check_marker()
    assert len(matrix.strict.requests) <= before + 2


GOOD = [
    head(length(b"5")) + b"hello" + SMUGGLED,
    head(encoding(b"chunked")) + CHUNKS + SMUGGLED,
    head(encoding(b"chunked")) + b"5;x=y\r\nhello\r\n0\r\nX-End: 1\r\n\r\n" + SMUGGLED,
    head(length(b"5"), b"Connection: close") + b"hello" + SMUGGLED,
    head(length(b"5"), version=b"1.0") + b"hello" + SMUGGLED,
    head(length(b"5"), target=b"/early/") + b"hello" + SMUGGLED,
    head(length(b"5"), encoding(b"chunked")) + CHUNKS + SMUGGLED,
    head(encoding(b"chunked")) + b"5\r\nhello0\r\n\r\n" + SMUGGLED,
]


@pytest.mark.parametrize("stream", GOOD[:5] + GOOD[6:], ids=str)
def test_where_the_bytes_are_cut_changes_nothing(matrix: Matrix, stream: bytes) -> None:
    for cut in range(1, len(stream)):
        matrix.check_one_in_one_out(stream, cut)


@pytest.mark.parametrize("stream", GOOD, ids=str)
def test_client_that_hangs_up_at_any_byte_smuggles_nothing(matrix: Matrix, stream: bytes) -> None:
    before = len(matrix.strict.requests)
    for end in range(len(stream)):
        with Client(matrix.node.address) as client:
            client.send(stream[:end])
        matrix.check_marker()
    matrix.node.wait_for(lambda state: state["connections"] == 0)
    possible = {(one.method, one.target, one.body) for one in read(stream).requests}
    asked = [one for one in matrix.strict.requests[before:] if not one.target.startswith("/marker/")]
    assert {(one.method, one.target, one.body) for one in asked} <= possible


@pytest.mark.parametrize("framing", [length(b"34"), encoding(b"chunked")])
@pytest.mark.parametrize("body", [SMUGGLED, b"22\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"])
def test_body_of_a_request_answered_early_is_never_a_request(
    matrix: Matrix, body: bytes, framing: bytes
) -> None:
    """The answer comes before the body, with it, or in its middle; the rest is read away, or the end."""
    for cut in (None, 0, 1, len(body) - 1):
        asked = head(framing, target=b"/early/")
        before = len(matrix.strict.requests)
        answer, _, _ = matrix.ask(asked if cut is None else asked + body[:cut])
        assert answer.status == 401
        matrix.check_marker()
        assert [one.target for one in matrix.strict.requests[before:]] == [f"/marker/{matrix.marker}"]
    whole = head(framing, target=b"/early/") + body
    if not read(whole).is_bad:
        matrix.check_one_in_one_out(whole + head(length(b"0")))


@pytest.mark.parametrize("framing", [length(b"1088"), encoding(b"chunked")])
def test_body_over_the_limit_is_refused_and_never_a_request(matrix: Matrix, framing: bytes) -> None:
    whole = SMUGGLED * 32
    body = whole if framing != encoding(b"chunked") else b"440\r\n" + whole + b"\r\n0\r\n\r\n"
    for end in (len(body), 1050, 0 if framing != encoding(b"chunked") else 1040):
        before = len(matrix.strict.requests)
        answer, received, recorded = matrix.ask(head(framing) + body[:end])
        assert (answer.status, received) == (413, None)
        # All of the body may have been there to be thrown away; else there is no telling where it ends.
        assert answer.closes or end == len(body)
        assert recorded()["error_type"] == "body_too_large"
        matrix.check_marker()
        assert len(matrix.strict.requests) == before + 1


LINES = st.one_of(
    st.sampled_from(LENGTHS).map(length),
    st.sampled_from(ENCODINGS).map(encoding),
    st.builds(
        lambda spelling, name: spelling % name + b": 5", st.sampled_from(NAMES), st.just(b"Content-Length")
    ),
    st.sampled_from([
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: content-length",
        b"Host: b",
        b"X: 1",
    ]),
)
STREAMS = st.builds(
    lambda lines, version, target, body, rest: head(*lines, version=version, target=target) + body + rest,
    st.lists(LINES, max_size=3),
    st.sampled_from([b"1.1", b"1.1", b"1.0"]),
    st.just(b"/case"),
    st.sampled_from([b"", b"hello", *CHUNK_STREAMS]),
    st.sampled_from([b"", SMUGGLED, SMUGGLED + SMUGGLED, b"\r\n" + SMUGGLED]),
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(stream=STREAMS, cut=st.integers(0, 200))
def test_generated_streams_give_one_out_for_one_in(matrix: Matrix, stream: bytes, cut: int) -> None:
    matrix.check_one_in_one_out(stream, min(cut, len(stream)))
