"""Several servers of Redis: a master with a replica and sentinels, or a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.redis import RedisServer, until

MASTER = "limits"
PASSWORD = "watch"
SLOTS = 16_384


class Sentinels:
    """A master, a replica, and three sentinels with a password, which soon notice when the master is gone."""

    def __init__(self, ports: Sequence[int], directory: Path) -> None:
        first, second, *others = ports
        self.master = RedisServer(first, directory / "first")
        self.replica = RedisServer(second, directory / "second", "--replicaof", "127.0.0.1", str(first))
        self.ports = others
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {first} 2",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 2000",
            f"requirepass {PASSWORD}",
            f"sentinel sentinel-pass {PASSWORD}",
        ]
        self.sentinels = []
        for port in others:
            place = directory / f"sentinel-{port}"
            place.mkdir()
            (place / "s.conf").write_text("\n".join(lines) + "\n")
            self.sentinels.append(RedisServer(port, place, "s.conf", "--sentinel"))
        until(self._is_whole)

    @property
    def urls(self) -> str:
        return ", ".join(f'"redis://127.0.0.1:{port}/0"' for port in self.ports)

    def _is_whole(self) -> bool:
        states = [one.ask(password=PASSWORD).sentinel_master(MASTER) for one in self.sentinels]
        is_seen = all(
            state["num-other-sentinels"] == len(self.ports) - 1 and state["num-slaves"] == 1
            for state in states
        )
        return is_seen and self.replica.ask().info("replication")["master_link_status"] == "up"

    def kill(self) -> None:
        for one in (*self.sentinels, self.replica, self.master):
            one.kill()


class Cluster:
    """Masters that share the slots."""

    def __init__(self, ports: Sequence[int], directory: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        # Ports of the cluster's bus beyond 65,535 are none.
        self.servers = [
            RedisServer(port, directory / str(port), *options, "--cluster-port", str(bus))
            for port, bus in zip(ports[::2], ports[1::2], strict=True)
        ]
        share = -(-SLOTS // len(self.servers))
        for number, server in enumerate(self.servers):
            first, last = number * share, min((number + 1) * share, SLOTS) - 1
            server.ask().execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for port, bus in zip(ports[::2], ports[1::2], strict=True):
                server.ask().execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        until(lambda: all(self._is_whole(server) for server in self.servers))

    @property
    def urls(self) -> str:
        return ", ".join(f'"redis://127.0.0.1:{server.port}"' for server in self.servers)

    def _is_whole(self, server: RedisServer) -> bool:
        told: dict[str, Any] = server.ask().cluster("INFO")
        return told["cluster_state"] == "ok" and int(told["cluster_slots_ok"]) == SLOTS

    def kill(self) -> None:
        for server in self.servers:
            server.kill()
