"""A real Prometheus that scrapes one target."""

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from gateway.ports import unused_ports

DEADLINE = 30.0


class Prometheus:
    """Debian's, with native histograms, scraping five times a second."""

    def __init__(self, directory: Path, target: str) -> None:
        self._directory = directory
        self._port = next(unused_ports())
        (directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms}\n"
            f"scrape_configs: [{{job_name: gatewright, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--enable-feature=native-histograms,exemplar-storage",
            "--log.level=warn",
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str, **parameters: str) -> Any:
        """`data` of an answer of its API, as soon as it answers."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                response = httpx2.get(f"http://127.0.0.1:{self._port}/api/v1/{path}", params=parameters)
                if response.status_code == 200:
                    return response.json()["data"]
            except httpx2.TransportError:
                pass
            if time.monotonic() > end:
                raise TimeoutError(path)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives, as soon as there are any."""
        end = time.monotonic() + DEADLINE
        while not (found := self.get("query", query=expression)["result"]):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression}: {self.get('targets')}")
        return found
