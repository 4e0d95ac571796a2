"""Instances by host name follow their addresses, and stay while names cannot be resolved."""

import pytest

from gatewright.discovery.dns import DnsDiscovery, NamedInstance

SERVICES = [
    ("users", [NamedInstance("users.internal:8080", 3), NamedInstance("10.0.0.9:80")]),
    ("fixed", [NamedInstance("127.0.0.1:1")]),
]


class Names:
    """A resolver that gives what it is told."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {"users.internal": ["10.0.0.2", "10.0.0.1"]}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.addresses:
            raise OSError("no such name")
        return self.addresses[host]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def discovery(engine, names: Names):
    made = DnsDiscovery(engine.set_instances, names)
    made.use(SERVICES)
    yield made
    made.close()


def instances(*addresses: tuple[str, str, int]) -> list[dict[str, object]]:
    return [{"name": name, "address": address, "weight": weight} for name, address, weight in addresses]


async def test_every_address_of_a_name_is_an_instance(discovery: DnsDiscovery, engine, names: Names) -> None:
    await discovery.check()
    expected = instances(
        ("users.internal:8080", "10.0.0.1:8080", 3),
        ("users.internal:8080", "10.0.0.2:8080", 3),
        ("10.0.0.9:80", "10.0.0.9:80", 1),
    )
    assert engine.calls == [("set_instances", "users", expected)]
    assert names.asked == ["users.internal"]


async def test_nothing_is_pushed_while_nothing_changes(discovery: DnsDiscovery, engine, names: Names) -> None:
    await discovery.check()
    names.addresses["users.internal"].reverse()
    await discovery.check()
    assert len(engine.calls) == 1


async def test_a_changed_address_is_pushed(discovery: DnsDiscovery, engine, names: Names) -> None:
    await discovery.check()
    names.addresses["users.internal"] = ["10.0.0.7"]
    await discovery.check()
    assert engine.calls[-1][2][0]["address"] == "10.0.0.7:8080"


async def test_the_last_addresses_stay_while_dns_is_down(
    discovery: DnsDiscovery, engine, names: Names
) -> None:
    await discovery.check()
    names.addresses.clear()
    await discovery.check()
    assert len(engine.calls) == 1
    assert discovery.failures == 1
    discovery.use(SERVICES)
    assert list(discovery.known("users.internal", 8080)) == ["10.0.0.1", "10.0.0.2"]


async def test_a_name_that_never_resolved_is_left_out(discovery: DnsDiscovery, engine, names: Names) -> None:
    names.addresses.clear()
    await discovery.check()
    with pytest.raises(OSError, match=r"users\.internal"):
        discovery.known("users.internal", 8080)
    assert engine.calls == [("set_instances", "users", instances(("10.0.0.9:80", "10.0.0.9:80", 1)))]


async def test_ipv6_counts_only_where_there_is_no_ipv4(discovery: DnsDiscovery, engine, names: Names) -> None:
    names.addresses["users.internal"] = ["::1", "127.0.0.1"]
    await discovery.check()
    names.addresses["users.internal"] = ["::1"]
    await discovery.check()
    assert [call[2][0]["address"] for call in engine.calls] == ["127.0.0.1:8080", "[::1]:8080"]


async def test_instances_that_the_data_plane_refuses_are_pushed_again(engine, names: Names) -> None:
    failing = [True]

    def push(service: str, document: bytes) -> None:
        if failing.pop() if failing else False:
            raise ValueError("unknown service")
        engine.set_instances(service, document)

    discovery = DnsDiscovery(push, names)
    discovery.use(SERVICES)
    await discovery.check()
    await discovery.check()
    discovery.close()
    assert len(engine.calls) == 1


async def test_a_service_whose_names_never_resolved_is_left_as_it_is(engine) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    discovery = DnsDiscovery(engine.set_instances, unknown)
    discovery.use([("users", [NamedInstance("users.internal:80")])])
    await discovery.check()
    discovery.close()
    assert engine.calls == []
