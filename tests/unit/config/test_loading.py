"""Loading names every file that it read, and reads only what it should."""

from pathlib import Path

import pytest

from gatewright.config import ConfigError, load

LISTENER = 'listeners: [{name: public, address: "127.0.0.1:8080"}]\n'
ROUTE = "routes: [{name: a, match: /a, service: self}]\n"
JWT = "identities: [{name: m, kind: jwt, jwks: {file: keys/jwks.json}}]\n"


def write(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


def test_every_file_that_was_read_is_listed(tmp_path: Path) -> None:
    write(
        tmp_path,
        gateway="include: [more.yaml]\n" + LISTENER + JWT,
        more=ROUTE + 'admin: {token: "${file:token}"}\n',
    )
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "jwks.json").write_text('{"keys": [{"kty": "oct", "k": "eA"}]}')
    loaded = load([tmp_path / "gateway.yaml"])
    names = {str(path.relative_to(tmp_path)) for path in loaded.files}
    assert names == {"gateway.yaml", "more.yaml", "token", "keys/jwks.json"}
    assert loaded.gateway.admin.token == "0123456789abcdef"


def test_directory_stands_for_its_files_in_order_of_name(tmp_path: Path) -> None:
    write(tmp_path, b=ROUTE.replace("/a", "/b").replace("name: a", "name: b"), a=LISTENER + ROUTE)
    (tmp_path / "notes.txt").write_text("not a configuration")
    loaded = load([tmp_path])
    assert [route.name for route in loaded.gateway.routes] == ["a", "b"]
    assert loaded.directories == (tmp_path,)


def test_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no configuration"):
        load([tmp_path])


def test_several_paths_are_joined(tmp_path: Path) -> None:
    write(tmp_path, a=LISTENER, b=ROUTE)
    loaded = load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert len(loaded.gateway.listeners) == len(loaded.gateway.routes) == 1


def test_file_that_is_included_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a="include: [c.yaml, b.yaml]\n" + LISTENER, b="include: c.yaml\n", c=ROUTE)
    assert len(load([tmp_path / "a.yaml"]).gateway.routes) == 1


def test_paths_are_relative_to_the_file_that_holds_them(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    write(tmp_path, a="include: below/b.yaml\n" + LISTENER + ROUTE)
    sink = "{kind: file, path: records.jsonl, spill: {directory: waiting}}"
    write(below, b=f"records: {{sinks: [{sink}]}}\nnode: {{state_directory: state}}\n")
    gateway = load([tmp_path / "a.yaml"]).gateway
    found = gateway.records.sinks[0].model_dump()
    assert found["path"] == str(below / "records.jsonl")
    assert found["spill"]["directory"] == str(below / "waiting")
    assert gateway.node.state_directory == str(below / "state")


def test_key_sets_to_fetch_are_listed_and_not_among_the_keys(tmp_path: Path) -> None:
    identity = 'identities: [{name: m, kind: jwt, jwks: {url: "https://id.example.com/jwks", refresh: 5m}}]\n'
    loaded = load([write(tmp_path, a=LISTENER + ROUTE + identity) / "a.yaml"])
    assert [(url.identity, url.url, int(url.settings.refresh)) for url in loaded.key_urls] == [
        ("m", "https://id.example.com/jwks", 300_000)
    ]
    assert "m" not in loaded.keys


def test_error_is_one_line_for_each_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load([write(tmp_path, a=LISTENER + "routes: [{name: a}]\nrotes: []\n") / "a.yaml"])
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert len(caught.value.problems) == 2


def test_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_TEST_NODE", "blue")
    loaded = load([
        write(tmp_path, a=LISTENER + ROUTE + 'node: {name: "${env:GATEWRIGHT_TEST_NODE}"}\n') / "a.yaml"
    ])
    assert loaded.gateway.node.name == "blue"
