"""A client that opens a TLS connection for each request, with or without the session of the one before.

wrk cannot resume, and `openssl s_time` does not say whether it did. This one checks each connection, so that
neither count holds one of the other kind. It is slower than any gateway: what it finds is CPU time per
connection and how long one takes, never how many a gateway could bear.
"""

import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from answer import read_answer
from certificates import CLIENT_FILE
from load import Load, Served
from processes import PATH, BenchError
from scenario import SMALL_BODY

AT_ONCE = 8


@dataclass(slots=True)
class Caller:
    """One thread of the client: opens connections in turn."""

    port: int
    request: bytes
    resumed: bool

    def run(self, deadline: float) -> list[float]:
        """Seconds of each connection, from its opening to the end of its answer. Raises `BenchError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The look at the peer verifies the certificate; here it would only slow the client down.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        session = self.call(context, None) if self.resumed else None
        taken = []
        while (start := time.monotonic()) < deadline:
            following = self.call(context, session)
            taken.append(time.monotonic() - start)
            session = following if self.resumed else None
        return taken

    def call(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        """One connection and one request; the session that the next may resume."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        # Else the request waits until the peer has confirmed the end of the handshake, 40 ms later.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with plain, context.wrap_socket(plain, session=session) as connection:
            if connection.session_reused != (session is not None):
                raise BenchError("the peer resumed no session, or one that nobody offered")
            connection.sendall(self.request)
            read_answer(connection, len(SMALL_BODY))
            # Tickets come ahead of the answer, and are read with it.
            return connection.session


def run_handshakes(load: Load, port: int, path: str, resumed: bool) -> Served:
    """Run this file on the load generator's core. Raises `BenchError`."""
    done = subprocess.run(
        [
            *("taskset", "-c", str(load.core), sys.executable, __file__),
            *(str(port), path, str(load.seconds), "resumed" if resumed else "full"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH, "OPENSSL_CONF": str(CLIENT_FILE)},
        timeout=load.seconds + 60,
    )
    if done.returncode != 0:
        raise BenchError(f"handshakes with port {port} failed:\n{done.stderr[-2000:]}")
    return Served(**json.loads(done.stdout))


def main() -> None:
    port, path, seconds, kind = sys.argv[1:]
    request = f"GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n".encode()
    callers = [Caller(int(port), request, resumed=kind == "resumed") for _ in range(AT_ONCE)]
    start = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        runs = [threads.submit(caller.run, start + float(seconds)) for caller in callers]
        taken = [one for run in runs for one in run.result()]
    p50, p99 = quantiles(taken)
    print(json.dumps(asdict(Served(len(taken), time.monotonic() - start, p50, p99, failed=0))))


def quantiles(taken: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    if len(taken) < 2:
        raise BenchError("not two requests were answered")
    hundredths = statistics.quantiles(taken, n=100, method="inclusive")
    return hundredths[49], hundredths[98]


if __name__ == "__main__":
    main()
