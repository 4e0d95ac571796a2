"""Instances as processes of their own, which tests start and kill."""

import os
import subprocess
import sys
from pathlib import Path

from faults.process import DEADLINE, environment


class Instance:
    """`faults.misbehaving`, which does right where no fault is named."""

    def __init__(self, port: int = 0) -> None:
        tests = str(Path(__file__).resolve().parents[1])
        paths = {"PYTHONPATH": os.pathsep.join([tests, environment()["PYTHONPATH"]])}
        command = [sys.executable, "-m", "faults.misbehaving", str(port)]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**environment(), **paths})
        assert self.child.stdout is not None
        self.port = int(self.child.stdout.readline())

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(DEADLINE)
        if self.child.stdout is not None:
            self.child.stdout.close()
