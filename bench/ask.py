"""One request in each protocol that the scenarios speak, to see what a peer answers."""

import http.client
import socket
import ssl

import grpc
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from certificates import CERTIFICATE_FILE
from processes import BenchError
from scenario import GRPC_MESSAGE

SECONDS = 10
STREAM = 1


# Status, and bytes of the body.
Answer = tuple[int, int]


def ask_http1(port: int, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """HTTP/1.1 without TLS."""
    return ask(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS), path, body, headers)


def ask_tls(port: int, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """HTTP/1.1 over TLS, whose certificate must be the bench's own. Raises `BenchError` below TLS 1.3."""
    context = ssl.create_default_context(cafile=str(CERTIFICATE_FILE))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=context)
    connection.connect()
    if not isinstance(connection.sock, ssl.SSLSocket) or connection.sock.version() != "TLSv1.3":
        connection.close()
        raise BenchError(f"port {port} does not speak TLS 1.3")
    return ask(connection, path, body, headers)


def ask(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    try:
        connection.request("POST" if body else "GET", path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    finally:
        connection.close()


def ask_http2(port: int, path: str) -> Answer:
    """HTTP/2 without TLS, by prior knowledge. Raises `BenchError` where the peer speaks something else."""
    client = H2Connection()
    client.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "bench.example"), (":path", path)]
    client.send_headers(STREAM, fields, end_stream=True)
    events: list[Event] = []
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        while not any(isinstance(event, StreamEnded) for event in events):
            connection.sendall(client.data_to_send())
            events += receive(client, connection)
    heads = [dict(event.headers) for event in events if isinstance(event, ResponseReceived)]
    return int(heads[0][b":status"]), sum(
        len(event.data) for event in events if isinstance(event, DataReceived)
    )


def receive(client: H2Connection, connection: socket.socket) -> list[Event]:
    data = connection.recv(65536)
    try:
        events = client.receive_data(data)
    except ProtocolError as error:
        raise BenchError(f"not HTTP/2: {error}") from error
    if not data or any(isinstance(event, StreamReset | ConnectionTerminated) for event in events):
        raise BenchError("the HTTP/2 connection or its stream ended before the answer")
    return events


def ask_grpc(port: int, path: str) -> Answer:
    """A unary call by a real client, which is to bring its message back. Raises `BenchError`."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            message = channel.unary_unary(path)(GRPC_MESSAGE, timeout=SECONDS)
        except grpc.RpcError as error:
            raise BenchError(f"the gRPC call failed: {error}") from error
    # The client has seen `grpc-status` 0 in the trailers: there is no other way to come here.
    if message != GRPC_MESSAGE:
        raise BenchError("the gRPC call brought another message back")
    return 200, len(message)
