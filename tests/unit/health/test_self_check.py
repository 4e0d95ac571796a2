"""A node that asks itself: answers, and none."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gatewright.health.self_check import PREFACE, NoAnswerError, Target, ask


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], tuple[str, int]]]:
    """A listener that answers one connection with these bytes, once it was asked something."""
    open_: list[socket.socket] = []

    def served(answer: bytes) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        open_.append(listener)

        def work() -> None:
            connection, _ = listener.accept()
            # Who is done ends the connection.
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)
                connection.recv(4096)

        threading.Thread(target=work, daemon=True).start()
        return listener.getsockname()

    yield served
    for one in open_:
        one.close()


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        (None, b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(9000), "its answer is not HTTP/2"),
        ("/x", b"HTTP/1.1 503 No\r\n\r\n", "its answer to `/x` is 503"),
        ("/x", b"\x00\x00\x00\r\n", "its answer is not HTTP/1.1"),
    ],
)
def test_answers_that_are_none_are_told(serve, path: str | None, answer: bytes, why: str) -> None:
    with pytest.raises(NoAnswerError, match=why):
        ask(Target("public", serve(answer), path=path), 5)


def test_a_listener_that_is_not_there_is_told(free_port: Callable[[], int]) -> None:
    with pytest.raises(NoAnswerError, match="listener `public` cannot be asked"):
        ask(Target("public", ("127.0.0.1", free_port())), 5)


def test_a_listener_that_says_nothing_is_not_waited_for(serve) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer of listener `public` within 0\.05 s"):
        ask(Target("public", serve(b"")), 0.05)


def test_an_answer_to_the_ping_is_found_among_other_frames(serve) -> None:
    settings = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + bytes(6) + b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"
    pong = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00gatewrit"
    assert 0 <= ask(Target("public", serve(settings + pong)), 5) < 5
    assert PREFACE.startswith(b"PRI * HTTP/2.0")
