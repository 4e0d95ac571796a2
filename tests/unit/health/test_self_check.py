"""A node that asks itself: answers, and none."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gatewright.health.self_check import NoAnswerError, Question, Target, ask

OWN = Question("/the-secret")
PATH = Question("/x", own=False)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], tuple[str, int]]]:
    """A listener that answers one connection with these bytes, once it was asked something."""
    open_: list[socket.socket] = []

    def served(answer: bytes) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        open_.append(listener)

        def work() -> None:
            # Who is done ends the connection, and a test that is over the listener.
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)
                connection.recv(4096)

        threading.Thread(target=work, daemon=True).start()
        return listener.getsockname()

    yield served
    for one in open_:
        one.close()


@pytest.mark.parametrize(
    ("question", "http2", "answer", "why"),
    [
        (OWN, False, b"HTTP/1.1 404 Not Found\r\n\r\n", "answers 404 to its own node"),
        (OWN, False, b"HTTP/1.1 200 OK\r\n\r\n", "answers 200 to its own node"),
        (OWN, False, b"\x00\x00\x00\r\n", "its answer is not HTTP/1.1"),
        (OWN, True, b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(9000), "its answer is not HTTP/2"),
        # SETTINGS, then GOAWAY; and SETTINGS, then RST_STREAM of the request.
        (
            OWN,
            True,
            bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 0, 8, 7]) + bytes(13),
            "it refused the request",
        ),
        (
            OWN,
            True,
            bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 0, 4, 3, 0, 0, 0, 0, 1]) + bytes(4),
            "it refused the request",
        ),
        (PATH, False, b"HTTP/1.1 503 No\r\n\r\n", "its answer to `/x` is 503"),
    ],
)
def test_answers_that_are_none_are_told(
    serve, question: Question, http2: bool, answer: bytes, why: str
) -> None:
    with pytest.raises(NoAnswerError, match=why) as caught:
        ask(Target("public", serve(answer), http2=http2), question, 5)
    assert OWN.path not in str(caught.value)


def test_a_listener_that_is_not_there_is_told(free_port: Callable[[], int]) -> None:
    with pytest.raises(NoAnswerError, match="listener `public` cannot be asked"):
        ask(Target("public", ("127.0.0.1", free_port())), OWN, 5)


@pytest.mark.parametrize("http2", [False, True])
def test_a_listener_that_says_nothing_is_not_waited_for(serve, http2: bool) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer of listener `public` within 0\.05 s"):
        ask(Target("public", serve(b""), http2=http2), OWN, 0.05)


def test_an_answer_in_time_is_one(serve) -> None:
    assert 0 <= ask(Target("public", serve(b"HTTP/1.1 204 No Content\r\n\r\n")), OWN, 5) < 5
    assert 0 <= ask(Target("public", serve(b"HTTP/1.1 404 Not Found\r\n\r\n")), PATH, 5) < 5


def test_what_is_asked_is_not_shown() -> None:
    assert OWN.path not in repr(OWN)
