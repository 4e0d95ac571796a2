"""A whole node as a process of its own, with the real data plane: start, reload, drain, end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from gatewright.identity import tokens

SECONDS = 60.0

CONFIGURATION = """\
version: 1
listeners: [{{name: public, address: 127.0.0.1:{public}}}]
admin: {{address: 127.0.0.1:{admin}}}
services:
  - {{name: origin, instances: ["127.0.0.1:{origin}"], pool: {{idle_timeout: 1s}}}}
identities: {identities}
routes:
  - name: {route}
    match: {{path: "/*"}}
    service: origin
    rate_limit: none
    auth: {auth}
"""


# A client for all: to make one takes a hundred times as long as to ask. A connection for each request.
ASKING = httpx2.Client(trust_env=False, timeout=SECONDS, limits=httpx2.Limits(max_keepalive_connections=0))


class Origin:
    """A service on a port of its own. `/wait` answers when `let_go` is set; `/jwks.json` gives `keys`."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.keys: bytes | None = None
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body, status = b"hello", 200
                if self.path == "/wait":
                    origin.entered.set()
                    origin.let_go.wait(SECONDS)
                if self.path == "/jwks.json":
                    body, status = (origin.keys, 200) if origin.keys else (b"", 500)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def origin() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


class Running:
    """One `gatewright run`."""

    def __init__(self, directory: Path, origin: Origin, ports: tuple[int, int]) -> None:
        self.file = directory / "gateway.yaml"
        self._values = {"public": ports[0], "admin": ports[1], "origin": origin.port}
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.admin = f"http://127.0.0.1:{ports[1]}"
        self.process: subprocess.Popen[str] | None = None

    def text(self, route: str = "all", identities: str = "[]", auth: str = "none") -> str:
        return CONFIGURATION.format(**self._values, route=route, identities=identities, auth=auth)

    def write(self, **changes: str) -> None:
        self.file.write_text(self.text(**changes), encoding="utf-8")

    def start(self) -> "Running":
        command = [sys.executable, "-m", "gatewright", "run", str(self.file), "--workers", "2"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: self.status("/readyz") == 200)
        return self

    def status(self, path: str) -> int:
        try:
            return ASKING.get(self.admin + path).status_code
        except httpx2.HTTPError:
            return 0

    def config(self) -> dict:
        return ASKING.get(self.admin + "/api/v1/config").json()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors


@pytest.fixture
def node(tmp_path: Path, origin: Origin, free_port: Callable[[], int]) -> Iterator[Running]:
    made = Running(tmp_path, origin, (free_port(), free_port()))
    made.write()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


def is_refused(url: str) -> bool:
    try:
        ASKING.get(url + "/x")
    except httpx2.ConnectError:
        return True
    except httpx2.TransportError:
        # It came between the last accept and the close.
        return False
    return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process, which has no event to wait for."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_node_serves_and_sigterm_ends_it_with_0(node: Running) -> None:
    node.start()
    assert ASKING.get(node.url + "/x").text == "hello"
    code, errors = node.end()
    assert code == 0
    assert f"listening on {node.url} (public)" in errors


def test_every_line_of_the_log_after_the_start_is_json(node: Running) -> None:
    node.start()
    node.file.write_text("routes: 3\n", encoding="utf-8")
    until(lambda: node.config()["state"] == "invalid")
    events = [json.loads(line) for line in node.end()[1].splitlines() if line.startswith("{")]
    assert {"configuration applied", "configuration refused", "draining", "drained"} <= {
        one["event"] for one in events
    }


class Load:
    """Clients that ask without end, one connection each, and keep what was not 200."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.faults: list[str] = []
        self.answered = 0
        self._url = url
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _ask(self) -> None:
        with httpx2.Client(trust_env=False, timeout=SECONDS) as client:
            while not self._ending.is_set():
                try:
                    response = client.get(self._url)
                except httpx2.HTTPError as error:
                    self.faults.append(repr(error))
                    continue
                self.answered += 1
                if response.status_code != 200:
                    self.faults.append(response.text)


def test_reloading_under_load_fails_no_request(node: Running) -> None:
    node.start()
    with Load(node.url + "/x") as load:
        for number in range(10):
            before = node.config()["version"]
            node.write(route=f"route-{number}")
            until(lambda before=before: node.config()["version"] > before)
        until(lambda: load.answered > 200)
    assert load.faults == []
    assert node.end()[0] == 0


def test_an_invalid_file_keeps_the_old_configuration_and_says_so(node: Running) -> None:
    node.start()
    node.file.write_text(node.text().replace("service: origin", "service: orign"), encoding="utf-8")
    # Half of it may be read before all of it is.
    until(lambda: "orign" in str(node.config()["errors"]))
    config = node.config()
    assert (config["version"], config["state"]) == (1, "invalid")
    assert "gateway.yaml" in config["errors"][0]
    assert "orign" in config["errors"][0]
    assert ASKING.get(node.url + "/x").status_code == 200
    metrics = ASKING.get(node.admin + "/metrics").text
    assert "gateway_config_valid 0" in metrics
    assert "gateway_config_version 1" in metrics
    node.write(route="mended")
    until(lambda: node.config()["state"] == "valid")
    assert node.config()["version"] > 1


def test_a_configmap_swap_becomes_live(node: Running, tmp_path: Path) -> None:
    for name, route in (("..first", "first"), ("..second", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(node.text(route=route), encoding="utf-8")
    node.file.unlink()
    (tmp_path / "..data").symlink_to("..first")
    node.file.symlink_to("..data/gateway.yaml")
    node.start()
    assert node.config()["version"] == 1
    (tmp_path / "..new").symlink_to("..second")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    until(lambda: node.config()["version"] > 1)


def test_a_request_under_way_is_finished_while_draining(node: Running, origin: Origin) -> None:
    node.start()
    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(ASKING.get(node.url + "/wait", timeout=SECONDS)))
    asking.start()
    assert origin.entered.wait(SECONDS)
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    until(lambda: node.status("/readyz") == 503)
    until(lambda: is_refused(node.url))
    origin.let_go.set()
    asking.join(SECONDS)
    assert answers[0].status_code == 200
    # A second signal would cut it off; it ends by itself.
    node.process.communicate(timeout=SECONDS)
    assert node.process.returncode == 0


def test_a_second_signal_ends_at_once_with_1(node: Running, origin: Origin) -> None:
    node.start()

    def ask() -> None:
        with pytest.raises(httpx2.HTTPError):
            ASKING.get(node.url + "/wait", timeout=SECONDS)

    asking = threading.Thread(target=ask)
    asking.start()
    assert origin.entered.wait(SECONDS)
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    until(lambda: node.status("/readyz") == 503)
    assert node.end(signal.SIGINT)[0] == 1
    asking.join(SECONDS)


def test_records_of_a_load_are_all_stored_by_the_time_it_exits(node: Running, tmp_path: Path) -> None:
    from gatewright.records.reader import Question, page

    node.start()
    with Load(node.url + "/x", clients=2) as load:
        until(lambda: load.answered > 300)
    assert node.end()[0] == 0
    stored = len(page(tmp_path / ".gatewright" / "records", Question(limit=10_000)).records)
    assert stored == load.answered


def test_a_rotated_key_is_fetched_when_a_token_names_it(
    node: Running, origin: Origin, tmp_path: Path
) -> None:
    def rotate(name: str) -> dict[str, str]:
        private, public = tmp_path / f"{name}.jwk", tmp_path / f"{name}.jwks"
        tokens.write_key_pair(tokens.generate("ES256", name), private, public)
        origin.keys = public.read_bytes()
        minted = tokens.mint(private, tokens.TokenRequest("u", "me"), int(time.time()))
        return {"authorization": f"Bearer {minted}"}

    def ask(headers: dict[str, str]) -> int:
        return ASKING.get(node.url + "/x", headers=headers).status_code

    url = f"http://127.0.0.1:{origin.port}/jwks.json"
    identities = f"[{{name: id, kind: jwt, issuer: me, jwks: {{url: '{url}', minimum_refresh: 100ms}}}}]"
    node.write(identities=identities, auth="{accept: [id]}")
    node.start()
    # The issuer is down at the start: its routes say so, the node runs.
    first = rotate("first")
    origin.keys, keys = None, origin.keys
    assert ask(first) == 503
    origin.keys = keys
    until(lambda: ask(first) == 200)
    second = rotate("second")
    until(lambda: ask(second) == 200)
    assert ask(first) == 401
    assert ask({}) == 401
