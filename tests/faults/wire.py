"""A cable from this machine to a network namespace, which loses, delays and cuts packets as a test says.

Two TUN devices and a thread between them, not `tc netem`: many kernels come without that, this needs root
alone, and the dice are the same ones in every run.
"""

import collections
import ctypes
import fcntl
import os
import random
import secrets
import selectors
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self, TypeVar

import pytest

from faults.process import DEADLINE

Result = TypeVar("Result")

# From linux/if_tun.h and linux/sched.h.
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000
PACKET_BYTES = 1 << 16
SEED = 7


def why_not() -> str | None:
    """What keeps this user from making a wire. With `CI=true`, root must have the tools."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI=true, and this test needs ip, see scripts/servers.sh", pytrace=False)
        return "needs ip, see scripts/servers.sh"
    try:
        Wire().close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"root may not make network namespaces here: {error}"
    return None


class Wire:
    """`near` is this machine's address on it, `far` that of the namespace. Whole until told otherwise."""

    def __init__(self) -> None:
        # As a share of all packets, and in seconds each way.
        self.loss = 0.0
        self.delay = 0.0
        self.is_cut = False
        self._name = f"gwt{secrets.token_hex(3)}"
        # Of the block that RFC 2544 keeps for tests.
        block, first = f"198.18.{secrets.randbelow(256)}", 4 * secrets.randbelow(64)
        self.near, self.far = f"{block}.{first + 1}", f"{block}.{first + 2}"
        self._ends = [tun(f"{self._name}n"), tun(f"{self._name}f")]
        self._waiting: collections.deque[tuple[float, int, bytes]] = collections.deque()
        self._is_open = True
        self._dice = random.Random(SEED)  # noqa: S311 - the same losses each time, no secret.
        self._thread = threading.Thread(target=self._relay, daemon=True)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._is_open = False
        if self._thread.is_alive():
            self._thread.join(DEADLINE)
        for end in self._ends:
            os.close(end)
        ip("netns", "del", self._name)

    def inside(self, act: Callable[[], Result]) -> Result:
        """What `act` gives where it runs in the namespace: sockets that it opens stay there."""
        done: Future[Result] = Future()

        def enter() -> None:
            try:
                set_namespace(f"/run/netns/{self._name}")
                done.set_result(act())
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=enter, daemon=True).start()
        return done.result(DEADLINE)

    def _connect(self) -> None:
        near, far, space = f"{self._name}n", f"{self._name}f", ("-n", self._name)
        ip("netns", "add", self._name)
        ip("link", "set", far, "netns", self._name)
        ip("addr", "add", self.near, "peer", self.far, "dev", near)
        ip("link", "set", near, "up")
        ip(*space, "addr", "add", self.far, "peer", self.near, "dev", far)
        ip(*space, "link", "set", far, "up")

    def _relay(self) -> None:
        with selectors.DefaultSelector() as ready:
            for end, other in (self._ends, reversed(self._ends)):
                ready.register(end, selectors.EVENT_READ, other)
            while self._is_open:
                for key, _ in ready.select(self._patience()):
                    self._take(key.fd, key.data)
                self._deliver()

    def _patience(self) -> float:
        if not self._waiting:
            return 0.05
        return max(0.0, min(0.05, self._waiting[0][0] - time.monotonic()))

    def _take(self, source: int, target: int) -> None:
        packet = os.read(source, PACKET_BYTES)
        if not self.is_cut and self._dice.random() >= self.loss:
            self._waiting.append((time.monotonic() + self.delay, target, packet))

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, target, packet = self._waiting.popleft()
            os.write(target, packet)


def tun(name: str) -> int:
    """A device of packets; gives the descriptor that is its other side."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end


def set_namespace(path: str) -> None:
    """Of this thread alone. `os.setns` came with Python 3.12 only."""
    space = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(space)


def ip(*arguments: str) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run(["ip", *arguments], check=True, capture_output=True, env={"PATH": path})
