"""Every configuration in the papers passes `gatewright check`.

A block with `listeners` is whole. Any other is a part: it is checked together with the base below, whose
entries of the same names step back.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import Authority
from gateway.mmdb import write_countries
from gatewright._engine import decide
from gatewright.config import compile as compile_snapshot
from gatewright.config import load
from gatewright.config.formats import read_file

SUFFIXES = {"yaml": ".yaml", "kdl": ".kdl", "python": ".py"}
BASE: dict[str, Any] = {
    "listeners": [{"name": "base", "address": "127.0.0.1:8080"}],
    "services": [{"name": name, "instances": ["127.0.0.1:9001"]} for name in ("users", "orders", "payments")],
    "identities": [
        {"name": "mobile", "kind": "jwt", "issuer": "base", "jwks": {"file": "keys/jwks.json"}},
        {"name": "partners", "kind": "api_key", "keys": {"file": "keys/partners.json"}},
        {
            "name": "web",
            "kind": "oidc",
            "issuer": "https://id.example.com",
            "client_id": "gateway",
            "session": {"secrets": "${file:keys/cookies}"},
        },
    ],
    "routes": [{"name": "base", "match": "/base", "service": "self"}],
}
ISSUER = """\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=
-----END PUBLIC KEY-----
"""
SECRETS = (
    "INTERNAL_JWT_SECRET",
    "CHALLENGE_SECRET",
    "STICKY_SECRET",
    "STORE_PASSWORD",
    "INTROSPECTION_SECRET",
    "REDIS_PASSWORD",
    "KAFKA_PASSWORD",
    "SEARCH_PASSWORD",
    "CLICKHOUSE_PASSWORD",
    "RECORDS_SECRET",
    "ALERT_SECRET",
    "AUDIT_KEY",
    "COLLECTOR_TOKEN",
    "USER_KEY_1",
    "USER_KEY_2",
)
MEMBERS = ("listeners", "services", "identities", "routes")


def is_whole(text: str) -> bool:
    return re.search(r"listeners?\b", text) is not None


def base_without(part: dict[str, Any]) -> dict[str, Any]:
    """Give the base without whatever the part brings itself."""
    names = {section: {entry["name"] for entry in part.get(section, [])} for section in MEMBERS}
    return {
        section: [entry for entry in entries if entry["name"] not in names[section]]
        for section, entries in BASE.items()
    }


@pytest.fixture
def place(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the keys and secrets that the papers speak of."""
    shutil.copytree(repository / "examples" / "keys", tmp_path / "keys")
    (tmp_path / "keys" / "admin-token").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "keys" / "store-secret").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "keys" / "cookies").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "keys" / "oidc-client").write_text("0123456789abcdef\n")
    (tmp_path / "keys" / "logs").write_text("0123456789abcdef\n")
    (tmp_path / "keys" / "pepper").write_text("0123456789abcdef\n")
    for name in ("issuer.pem", "shipping.pem"):
        (tmp_path / "keys" / name).write_text(ISSUER)
    (tmp_path / "keys" / "billing-secret").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "users.json").write_text('{"users": []}')
    Authority(tmp_path / "keys").issue("public", "example.com")
    shutil.copy(tmp_path / "keys" / "jwks.json", tmp_path / "jwks.json")
    (tmp_path / "dist").mkdir()
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "one.yaml").write_text("routes: [{name: one, match: /one, service: self}]\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "spam.txt").write_text("203.0.113.0/24\n")
    (tmp_path / "lists" / "scores.txt").write_text("203.0.113.0/24,35\n")
    write_countries(tmp_path / "GeoLite2-Country.mmdb", {"203.0.113.0/24": "DE"})
    for name in SECRETS:
        monkeypatch.setenv(name, "0123456789abcdef0123456789abcdef")
    return tmp_path


def plain_data(node: Any) -> Any:
    """Give what a file holds without its positions."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain_data(entry.node) for key, entry in value.items()}
    return [plain_data(item) for item in value] if isinstance(value, list) else value


def test_every_configuration_in_the_papers_is_valid(place: Path, blocks: list[Any]) -> None:
    faults, checked = [], 0
    for number, fence in enumerate(block for block in blocks if block.language in SUFFIXES):
        if fence.language == "python" and "gateway = " not in fence.text:
            continue
        file = place / f"block-{number}{SUFFIXES[fence.language]}"
        file.write_text(fence.text, encoding="utf-8")
        files = [file]
        if not is_whole(fence.text):
            base = place / f"base-{number}.json"
            base.write_text(json.dumps(base_without(plain_data(read_file(file, str(file))))))
            files.append(base)
        try:
            decide(compile_snapshot(load(files), 1), b"{}", b"[]")
        except Exception as error:
            faults.append(f"{fence}: {error}")
        checked += 1
    assert faults == []
    assert checked > 20


def test_a_wrong_part_is_found(place: Path) -> None:
    file, base = place / "part.yaml", place / "base.json"
    file.write_text("routes: [{name: users, match: /a, service: nobody}]\n")
    base.write_text(json.dumps(base_without(plain_data(read_file(file, str(file))))))
    outcome = subprocess.run(
        [sys.executable, "-m", "gatewright", "check", str(file), str(base)], capture_output=True, check=False
    )
    assert outcome.returncode == 1
    assert b"unknown service `nobody`" in outcome.stdout
