"""A secret of its own in each place where one can stand: nothing that the gateway says or keeps has any."""

import os
import stat
from collections.abc import Iterator

import pytest

from conformance.canaries import CONFIGURED, SENDERS, Canaries, Output, Setting, collect
from gateway.oidc import CLIENT_SECRET
from gateway.ports import unused_ports

LAST_GOOD = "file-last-good.json"
"""Holds the secrets of the configuration, as the papers say, and is its owner's alone."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Canaries, Output, Setting]]:
    unused = unused_ports()
    setting = Setting(tmp_path_factory.mktemp("leaks"), next(unused), next(unused))
    with setting.opened:
        for send in SENDERS:
            send(setting)
        setting.canaries.by_place["oidc-client"] = CLIENT_SECRET
        yield setting.canaries, collect(setting), setting


def test_what_is_no_secret_is_found_where_it_is_looked_for(told: tuple[Canaries, Output, Setting]) -> None:
    """Or the others would be found nowhere for another reason."""
    _, output, _ = told
    for place in ("command-records", "service-0", "log", "admin/metrics"):
        assert output[place], place
    for place in ("command-records", "admin/api/v1/records?limit=500"):
        assert b"the last one" in output[place], place
    files = b"".join(content for name, content in output.items() if name.startswith("file-records"))
    assert b"the last one" in files
    assert sum(name.startswith("admin/") for name in output) > 15
    assert not [
        name for name, content in output.items() if name.startswith("command") and b"Traceback" in content
    ]


SERVICES_OWN = {"query-name", "query-name-key", "query-name-password"}
"""What no identity of the gateway reads is for the service that it was sent to."""


def leaks(canaries: Canaries, output: Output, place: str) -> list[str]:
    forms = canaries.forms(place)
    return [name for name, content in output.items() if any(form in content for form in forms)]


def test_no_secret_of_the_configuration_is_told(told: tuple[Canaries, Output, Setting]) -> None:
    canaries, output, _ = told
    found = {place: leaks(canaries, output, place) for place in (*CONFIGURED, "oidc-client")}
    assert {place: names for place, names in found.items() if set(names) - {LAST_GOOD}} == {}


def test_no_credential_of_a_request_is_told(told: tuple[Canaries, Output, Setting]) -> None:
    canaries, output, _ = told
    places = [place for place in canaries.by_place if place not in {*CONFIGURED, "oidc-client"}]
    assert len(places) > 40
    found = {place: leaks(canaries, output, place) for place in places}
    for place in found.keys() & SERVICES_OWN:
        found[place] = [name for name in found[place] if not name.startswith("service-")]
    assert {place: names for place, names in found.items() if names} == {}


def test_what_is_kept_is_its_owners_alone(told: tuple[Canaries, Output, Setting]) -> None:
    _, _, setting = told
    directory = setting.directory / ".gatewright"
    open_to_others = [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and stat.S_IMODE(os.stat(path).st_mode) & 0o007
    ]
    assert open_to_others == []
    assert stat.S_IMODE(os.stat(directory / "last-good.json").st_mode) == 0o600
