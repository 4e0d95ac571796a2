"""Which load generator a scenario needs: wrk for HTTP/1.1, h2load for HTTP/2, ours for the rest."""

from h2load import run_h2load
from handshakes import run_handshakes
from load import Load, Served, run_wrk
from scenario import Scenario, write_script
from tokens import Credentials
from websocket import run_websocket


def offer(load: Load, port: int, scenario: Scenario, credentials: Credentials) -> Served:
    """Send the scenario's requests for the time given. Raises `BenchError` where nothing was answered."""
    if scenario.handshakes is not None:
        return run_handshakes(load, port, scenario.paths[0], resumed=scenario.handshakes == "resumed")
    if scenario.websocket:
        return run_websocket(load, port, scenario.paths[0])
    if scenario.http2:
        return run_h2load(load, port, scenario)
    scheme = "https" if scenario.tls else "http"
    return run_wrk(load, f"{scheme}://127.0.0.1:{port}", write_script(scenario, credentials))
