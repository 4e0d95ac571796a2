"""A node that starts from its last good configuration knows where its keys came from."""

import json
import time
from pathlib import Path

from gatewright.control.node import Node
from gatewright.control.state import StateDirectory
from gatewright.identity.fetch import KeySetSource
from gatewright.identity.kept_keys import KeptKeys, KeptKeySet


def identity(name: str, keys: object) -> dict[str, object]:
    return {"name": name, "kind": {"jwt": {"keys": keys}}}


async def test_the_last_good_configuration_goes_on_with_the_keys_that_were_kept(
    engine, tmp_path: Path
) -> None:
    state = StateDirectory(tmp_path)
    keys = b'{"keys":[{"kid":"a","kty":"RSA"}]}'
    # Nobody answers at this address, and nobody has to.
    source = KeySetSource("mobile", "http://127.0.0.1:9/jwks.json")
    other = KeySetSource("gone", "http://127.0.0.1:9/jwks.json")
    KeptKeys(state.key_sets).save([KeptKeySet(one, keys, time.time() - 60) for one in (source, other)])
    identities = [identity("mobile", None), identity("inline", {"keys": []})]
    identities.append({"name": "partners", "kind": {"api_key": {"keys": None}}})
    node = Node(engine, state)
    snapshot = {"version": 1, "identities": identities, "tiers": [], "routes": [], "node": {}}
    await node.apply_last_good(json.dumps(snapshot).encode())
    told = [call for call in engine.calls if call[0] == "set_keys"]
    assert told == [("set_keys", "mobile", json.loads(keys))]
    assert [one["identity"] for one in node.key_sets.state()] == ["mobile"]
    await node.close()
