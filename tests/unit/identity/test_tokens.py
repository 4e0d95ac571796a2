"""Development tokens and API-key files."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gatewright.identity import api_keys, tokens


@pytest.fixture(params=tokens.ALGORITHMS)
def key_files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "dev.jwk", tmp_path / "jwks.json"
    tokens.write_key_pair(tokens.generate(request.param), private, public)
    return private, public


# The name of RFC 8037, see `mint`.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_minted_token_verifies_with_the_published_key_set(key_files: tuple[Path, Path]) -> None:
    private, public = key_files
    wanted = tokens.TokenRequest("user_789", "https://id", "api", ("read:profile", "admin"), 60)
    token = jwt.decode(
        tokens.mint(private, wanted, now=1000),
        KeySet.import_key_set(json.loads(public.read_bytes())),
        algorithms=list(tokens.ALGORITHMS),
    )
    claims = dict(token.claims)
    claims.pop("jti")
    assert claims == {
        "sub": "user_789",
        "iss": "https://id",
        "aud": "api",
        "scope": "read:profile admin",
        "iat": 1000,
        "exp": 1060,
    }
    assert token.header["kid"]


def test_the_private_key_is_private_and_the_key_set_holds_none_of_it(key_files: tuple[Path, Path]) -> None:
    private, public = key_files
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    secret = json.loads(private.read_bytes())["d"]
    assert secret not in public.read_text(encoding="utf-8")
    assert "d" not in json.loads(public.read_bytes())["keys"][0]


def test_a_public_key_cannot_sign(key_files: tuple[Path, Path], tmp_path: Path) -> None:
    public = tmp_path / "public.jwk"
    public.write_text(json.dumps(json.loads(key_files[1].read_bytes())["keys"][0]), encoding="utf-8")
    with pytest.raises(tokens.TokenError, match="public key"):
        tokens.mint(public, tokens.TokenRequest("x"), now=0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kty": "RSA"}', "null"])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dev.jwk"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(tokens.TokenError, match=r"dev\.jwk"):
        tokens.mint(path, tokens.TokenRequest("x"), now=0)


def test_hs256_is_not_offered() -> None:
    with pytest.raises(tokens.TokenError, match="RS256"):
        tokens.generate("HS256")


def test_the_file_holds_the_hash_and_never_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "partners.json"
    end = datetime(2027, 1, 31, tzinfo=UTC)
    identifier, secret = api_keys.create(path, api_keys.NewKey("acme", ("orders:read",), "premium", end))
    assert secret.startswith("pk_live_")
    assert len(secret) >= len("pk_live_") + 32
    assert secret not in path.read_text(encoding="utf-8")
    assert api_keys.entries(path) == [
        {
            "id": identifier,
            "hash": api_keys.hash_of(secret),
            "partner": "acme",
            "scopes": ["orders:read"],
            "tier": "premium",
            "expires_at": "2027-01-31T00:00:00Z",
        }
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_hashes_are_those_of_the_standard() -> None:
    assert api_keys.hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert api_keys.hash_of("what do ya want for nothing?", "Jefe") == expected


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "partners.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: api_keys.create(path, api_keys.NewKey(f"p{n}"))[0], range(16)))
    assert sorted(str(key["id"]) for key in api_keys.entries(path)) == sorted(made)


def test_a_file_that_is_no_key_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "partners.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(api_keys.ApiKeyError, match="no key file"):
        api_keys.create(path, api_keys.NewKey("acme"))
    assert path.read_text(encoding="utf-8") == "[]"
