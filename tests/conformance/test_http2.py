"""HTTP/2 beside HTTP/1.1 on the same questions: the service must not be able to tell them apart."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.conftest import Matrix
from conformance.test_headers import IDENTITY, folded, spellings
from conformance.test_paths import PATHS, ask
from gateway import Http2, Received, Reset, Response
from gateway.http2 import PROTOCOL_ERROR, pseudo

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
# What HTTP/1.1 escapes and the codec of HTTP/2 refuses to take.
UNTAKEN = frozenset("<>`")


@pytest.fixture
def client(matrix: Matrix) -> Iterator[Http2]:
    with Http2(matrix.node.address) as client:
        yield client


def answered(matrix: Matrix, client: Http2, stream: int) -> tuple[Response | None, Received | None]:
    """The answer, and what the service got; no answer for a stream that was reset."""
    try:
        answer = client.response(stream)
    except Reset as reset:
        assert reset.code == PROTOCOL_ERROR
        return None, None
    number = answer.get("x-request-id")
    asked = [one for one in matrix.strict.requests if one.get("x-request-id") == number]
    assert len(asked) <= 1
    return answer, asked[0] if asked else None


@SETTINGS
@given(target=PATHS)
def test_a_path_means_the_same_as_over_http1(matrix: Matrix, client: Http2, target: str) -> None:
    old, old_received, recorded = ask(matrix, target)
    stream = client.open_stream()
    client.send(client.headers(stream, pseudo(target, authority="a")))
    new, received = answered(matrix, client, stream)
    if new is None:
        assert old.status == 400 or UNTAKEN & set(target)
        return
    assert new.status == old.status
    assert (received and received.target) == (old_received and old_received.target)
    old_record, record = recorded(), matrix.record_of(new)
    assert [record[key] for key in ("path", "query_string", "route_id")] == [
        old_record[key] for key in ("path", "query_string", "route_id")
    ]


@SETTINGS
@given(names=st.lists(spellings().map(str.lower), min_size=1, max_size=3), at_the_end=st.booleans())
def test_identity_of_a_client_reaches_no_service(
    matrix: Matrix, client: Http2, names: list[str], at_the_end: bool
) -> None:
    forged = [(name, "forged") for name in names]
    told = [("te", "trailers"), *([] if at_the_end else forged)]
    stream = client.begin("/headers", told, "POST", ends=False)
    client.send(client.headers(stream, forged if at_the_end else [("x-end", "1")]))
    answer, received = answered(matrix, client, stream)
    assert answer is not None
    assert received is not None
    seen = {folded(name) for name, _ in [*received.headers, *received.trailers]}
    assert not seen & {folded(name) for name in IDENTITY}


@SETTINGS
@given(
    sizes=st.lists(st.integers(0, 40), max_size=4),
    padding=st.sampled_from([None, 0, -1, 1, 7]),
    trailers=st.booleans(),
)
def test_one_body_in_is_one_body_out(
    matrix: Matrix, client: Http2, sizes: list[int], padding: int | None, trailers: bool
) -> None:
    """Whatever is announced and however it is cut: the service gets the whole body once, or nothing."""
    body = b"x" * sum(sizes)
    announced = None if padding is None else len(body) + padding
    if announced is not None and announced < 0:
        return
    told = [] if announced is None else [("content-length", str(announced))]
    stream = client.begin("/body", told, "POST", ends=False)
    for size in sizes:
        client.data(stream, b"x" * size)
    if trailers:
        client.send(client.headers(stream, [("x-end", "1")]))
    else:
        client.data(stream, b"", ends=True)
    answer, received = answered(matrix, client, stream)
    if announced in {None, len(body)}:
        assert answer is not None
        assert received is not None
        assert received.body == body
    else:
        assert answer is None or answer.status == 400
        assert received is None
    matrix.check_marker()
