"""The keys and tokens that requests carry, made anew for each run."""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey

from checks import SigningAlgorithm
from gatewright.keystore.keys import NewKey
from gatewright.keystore.sqlite import SqliteDatabase
from gatewright.keystore.store import KeyStore

ISSUER = "https://id.bench.example"
AUDIENCE = "bench"
USERS = 256
LIFETIME_SECONDS = 24 * 3600
# So many that the smallest cache of keys has forgotten each when its turn comes again.
API_KEYS = 2000
STORE_SECRET = secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Tokens of `USERS` callers by algorithm, and the keys that verify them in both usual forms."""

    tokens: dict[SigningAlgorithm, list[str]]
    key_set: str
    key_set_file: Path
    public_key_files: dict[SigningAlgorithm, Path]
    # Of the store in `key_store_file`; none where no scenario needs them.
    api_keys: list[str]
    key_store_file: Path

    def forged(self, algorithm: SigningAlgorithm) -> str:
        """A token whose signature is another's: right in form, wrong in fact."""
        tokens = self.tokens[algorithm]
        head, claims, _ = tokens[0].split(".")
        return f"{head}.{claims}.{tokens[1].split('.')[2]}"


def make_credentials(directory: Path, *, keys: bool = False) -> Credentials:
    """Write `jwks.json`, a public key for each algorithm and, on demand, `keys.db` into the directory; sign
    the tokens.
    """
    signing = make_keys()
    key_set = json.dumps({"keys": [key.as_dict(private=False) for key in signing.values()]})
    key_set_file = directory / "jwks.json"
    key_set_file.write_text(key_set)
    files = {}
    for algorithm, key in signing.items():
        files[algorithm] = directory / f"public-{algorithm}.pem"
        files[algorithm].write_bytes(key.as_pem(private=False))
    tokens = {algorithm: sign(algorithm, key) for algorithm, key in signing.items()}
    store = directory / "keys.db"
    api_keys = asyncio.run(make_api_keys(store)) if keys else []
    return Credentials(tokens, key_set, key_set_file, files, api_keys, store)


def make_keys() -> dict[SigningAlgorithm, RSAKey | ECKey | OKPKey]:
    def about(algorithm: SigningAlgorithm) -> KeyParameters:
        return {"kid": algorithm, "alg": algorithm, "use": "sig"}

    return {
        "RS256": RSAKey.generate_key(2048, about("RS256"), private=True),
        "ES256": ECKey.generate_key("P-256", about("ES256"), private=True),
        "EdDSA": OKPKey.generate_key("Ed25519", about("EdDSA"), private=True),
    }


def sign(algorithm: SigningAlgorithm, key: RSAKey | ECKey | OKPKey) -> list[str]:
    now = int(time.time())
    shared = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "scope": "read:users",
    }
    header = {"alg": algorithm, "kid": algorithm}
    return [
        jwt.encode(header, {**shared, "sub": f"user-{number}"}, key, [algorithm]) for number in range(USERS)
    ]


async def make_api_keys(file: Path) -> list[str]:
    """Fill a store of API keys in a file of SQLite."""
    store = KeyStore(SqliteDatabase(file), STORE_SECRET)
    await store.open()
    try:
        made = [await store.create(NewKey(partner=f"partner-{number}")) for number in range(API_KEYS)]
    finally:
        await store.close()
    return [text for _, text in made]
