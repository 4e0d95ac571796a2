"""A whole node in a process of its own, in a directory with its configuration."""

import subprocess
import sys
import threading
from pathlib import Path


class RunningGateway:
    """A directory with a configuration for these ports, public and admin; `start` runs a node on it."""

    def __init__(self, directory: Path, ports: tuple[int, int], text: str) -> None:
        self.directory = directory
        self.public, self.admin = ports
        self.file = directory / "gateway.yaml"
        self.file.write_text(
            f'listeners: [{{name: public, address: "127.0.0.1:{self.public}"}}]\n'
            f'admin: {{address: "127.0.0.1:{self.admin}"}}\n'
            f"records: {{sinks: []}}\n{text}"
        )
        self._process: subprocess.Popen[str] | None = None
        self._reading: threading.Thread | None = None
        self.lines: list[str] = []
        """What it has said; all of it once it has ended."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    @property
    def process(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return when its configuration is live."""
        command = [sys.executable, "-m", "gatewright", "run", str(self.file)]
        self._process = subprocess.Popen(command, cwd=self.directory, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if "is live" in line:
                break
        else:
            raise AssertionError("".join(self.lines))
        # A node that nobody listens to stands still once the pipe is full.
        self._reading = threading.Thread(target=self.lines.extend, args=(self._process.stderr,), daemon=True)
        self._reading.start()

    def end(self, how: str = "terminate") -> None:
        """End the process by this method of `Popen`, where there is one."""
        if self._process is None:
            return
        getattr(self._process, how)()
        self._process.wait(60)
        if self._reading is not None:
            self._reading.join(60)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = self._reading = None
