"""Nodes with the same configuration have the same digest, whatever they are called."""

from pathlib import Path

from gatewright.control.configuration import read

ROUTES = "routes: [{name: a, match: /a, service: self}]\n"


def digest(directory: Path, text: str) -> str:
    file = directory / "gateway.yaml"
    file.write_text(f"listeners: [{{name: public, address: '127.0.0.1:8080'}}]\n{text}")
    return read([file]).digest


def test_a_digest_is_of_everything_but_the_node_itself(tmp_path: Path) -> None:
    one = digest(tmp_path, f"node: {{name: a}}\n{ROUTES}")
    same = digest(
        tmp_path, f"{ROUTES}\n# A comment.\nadmin: {{address: '127.0.0.1:9999'}}\nnode: {{name: b}}\n"
    )
    other = digest(tmp_path, f"node: {{name: a}}\n{ROUTES.replace('/a', '/b')}")
    assert one == same != other
    assert len(one) == 8
