"""A whole node in a process of its own, in a directory with its configuration."""

import subprocess
import sys
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
                return
        raise AssertionError("".join(self.lines))

    def end(self, how: str = "terminate") -> None:
        """End the process by this method of `Popen`, where there is one."""
        if self._process is not None:
            getattr(self._process, how)()
            _, rest = self._process.communicate(timeout=60)
            self.lines += rest.splitlines()
            self._process = None
