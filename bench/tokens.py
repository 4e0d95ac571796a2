"""The keys and tokens of the policy scenario, made anew for each run."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER = "https://id.bench.example"
AUDIENCE = "bench"
USERS = 256
LIFETIME_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Credentials:
    """Tokens of `USERS` callers, and the key that verifies them in both usual forms."""

    tokens: list[str]
    key_set: str
    key_set_file: Path
    public_key_file: Path

    @property
    def forged(self) -> str:
        """A token whose signature is another's: right in form, wrong in fact."""
        head, claims, _ = self.tokens[0].split(".")
        return f"{head}.{claims}.{self.tokens[1].split('.')[2]}"


def make_credentials(directory: Path) -> Credentials:
    """Write `jwks.json` and `public.pem` into the directory and sign the tokens."""
    key = RSAKey.generate_key(2048, parameters={"kid": "bench", "alg": "RS256", "use": "sig"}, private=True)
    key_set = json.dumps({"keys": [key.as_dict(private=False)]})
    key_set_file, public_key_file = directory / "jwks.json", directory / "public.pem"
    key_set_file.write_text(key_set)
    public_key_file.write_bytes(key.as_pem(private=False))
    now = int(time.time())
    shared = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "scope": "read:users",
    }
    tokens = [
        jwt.encode({"alg": "RS256", "kid": "bench"}, {**shared, "sub": f"user-{number}"}, key)
        for number in range(USERS)
    ]
    return Credentials(tokens, key_set, key_set_file, public_key_file)
