"""Files that a configuration comes to name are watched from the moment on that they are read."""

from pathlib import Path

from gatewright.control.configuration import Configuration, read
from gatewright.control.node import Node
from gatewright.control.reload import Reloader
from gatewright.control.state import StateDirectory

TEXT = """\
listeners: [{name: public, address: "127.0.0.1:8080"}]
services: [{name: users, instances: ["127.0.0.1:9001"]}]
routes: [{name: all, match: /*, service: users}]
"""


def keys(name: str) -> str:
    return f'{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "{name}", "x": "x"}}]}}'


async def test_a_change_while_the_first_configuration_with_a_file_gets_live_is_seen(
    engine, tmp_path: Path, monkeypatch
) -> None:
    config, file = tmp_path / "gateway.yaml", tmp_path / "keys.json"
    config.write_text(TEXT)
    node = Node(engine, StateDirectory(tmp_path / "state"))
    reloader = Reloader(node, [config], read([config]))
    file.write_text(keys("first"))
    config.write_text(TEXT + "identities: [{name: m, kind: jwt, jwks: keys.json}]\n")
    apply = node.apply

    async def slowly(configuration: Configuration) -> int:
        version = await apply(configuration)
        file.write_text(keys("second"))
        return version

    with monkeypatch.context() as patch:
        patch.setattr(node, "apply", slowly)
        assert await reloader.check()
    assert await reloader.check()
    (identity,) = engine.snapshots[-1]["identities"]
    assert identity["kind"]["jwt"]["keys"]["keys"][0]["kid"] == "second"
    assert not await reloader.check()
    await node.close()
