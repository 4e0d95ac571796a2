"""gRPC's own interoperability cases: client and server of grpc-go, with the gateway between them.

Started by `make conformance-grpc`. Each case runs twice, straight to the server and through the gateway, so
that what fails by itself is told from what the gateway fails. The figures are in `results.md`, beside this.
"""

import argparse
import socket
import subprocess
import sys
import time
from pathlib import Path

from gateway import Node

# Those of TLS, of Google's credentials and of load balancers need what one machine does not have.
CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
)
SECONDS = 60


def start_server(program: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The interop server once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    server = subprocess.Popen([program, f"--port={port}"], stderr=subprocess.DEVNULL)
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, port
        time.sleep(0.05)
    raise RuntimeError("the interop server ended")


def fault(program: Path, port: int, case: str) -> str | None:
    """`None` when the case passes, else what the client said last."""
    command = [program, "--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}"]
    command += ["--soak_iterations=100", "--soak_overall_timeout_seconds=50"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not done in {SECONDS} s"
    return None if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]


def configuration(port: int) -> str:
    """All of gRPC to the interop server."""
    service = f"name: interop, instances: ['127.0.0.1:{port}'], protocol: http2, circuit_breaker: off"
    route = "name: all, match: {path: '/*'}, service: interop, timeout: 30s"
    return f"services: [{{{service}}}]\nroutes: [{{{route}}}]\n"


def main() -> int:
    """Print a line for each case; 1 when the gateway fails one that passes without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "tools", type=Path, help="directory with grpc-go's interop programs `client` and `server`"
    )
    parser.add_argument("cases", nargs="*", default=CASES)
    arguments = parser.parse_args()
    server, port = start_server(arguments.tools / "server")
    failed = 0
    try:
        with Node(configuration(port)) as node:
            for case in arguments.cases:
                alone = fault(arguments.tools / "client", port, case)
                through = fault(arguments.tools / "client", node.address[1], case)
                failed += alone is None and through is not None
                print(f"| `{case}` | {alone or 'pass'} | {through or 'pass'} |", flush=True)
    finally:
        server.terminate()
        server.wait(30)
    print(f"{len(arguments.cases)} cases, {failed} failed by the gateway")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
