"""Files are watched from the moment on that a configuration names them, and a change is applied once."""

import asyncio
import itertools
import threading
from collections.abc import Iterable
from pathlib import Path

from gatewright.control import reload
from gatewright.control.configuration import Configuration, read
from gatewright.control.node import Node
from gatewright.control.reload import Reloader, fingerprint
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


async def test_what_a_signal_brings_about_is_not_applied_again_because_the_file_has_changed(
    engine, tmp_path: Path, monkeypatch
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(TEXT)
    node = Node(engine, StateDirectory(tmp_path / "state"))
    reloader = Reloader(node, [config], read([config]))
    config.write_text(TEXT + "\n# changed\n")
    never, calls = threading.Event(), itertools.count()

    def slow_at_first(files: Iterable[Path]) -> str:
        """Whoever looks second has looked before the first one can note what it saw."""
        if next(calls) == 0:
            never.wait(0.2)
        return fingerprint(files)

    monkeypatch.setattr(reload, "fingerprint", slow_at_first)
    assert await asyncio.gather(reloader.reload(), reloader.check()) == [True, False]
    assert len(engine.snapshots) == 1
    await node.close()
