"""`gatewright keys`: API-key files and development signing keys."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

keys = App(
    name="keys", help="Make and list API keys; make development signing keys.", result_action="return_value"
)

KeyFile = Annotated[Path, Parameter(help='The key file, `{"keys": [...]}`.')]


@keys.command
def create(  # noqa: PLR0913 - one argument an option of the command.
    file: KeyFile,
    *,
    partner: Annotated[str, Parameter(help="Whose key it is; becomes `X-Partner-ID`.")],
    scope: Annotated[list[str] | None, Parameter(help="A scope; may be repeated.", negative=())] = None,
    tier: Annotated[str | None, Parameter(help="Rate limit tier that replaces the route's.")] = None,
    expires: Annotated[str | None, Parameter(help="Lifetime, such as `90d`; for ever by default.")] = None,
    pepper_file: Annotated[Path | None, Parameter(help="File with the identity's pepper.")] = None,
) -> int:
    """Make an API key, store its hash, print the key. It is shown this once."""
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.identity import api_keys  # noqa: PLC0415

    try:
        end = datetime.now(UTC) + timedelta(seconds=seconds_of(expires)) if expires else None
        new = api_keys.NewKey(partner, tuple(scope or ()), tier, end)
        pepper = pepper_file.read_text(encoding="utf-8").strip() if pepper_file else None
        identifier, secret = api_keys.create(file, new, pepper)
    except (api_keys.ApiKeyError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(secret)
    print(f"key {identifier} for {partner} stored in {file}; it is not shown again", file=sys.stderr)
    return 0


@keys.command(name="list")
def list_keys(
    file: KeyFile,
    *,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON.", negative=())] = False,
) -> int:
    """List the keys of a file: ids, partners, scopes; never hashes."""
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.identity import api_keys  # noqa: PLC0415

    try:
        found = [{name: key[name] for name in key if name != "hash"} for key in api_keys.entries(file)]
    except api_keys.ApiKeyError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    table(("id", "partner", "scopes", "tier", "expires_at"), found)
    return 0


@keys.command(name="generate-jwk")
def generate_jwk(
    private: Annotated[Path, Parameter(help="Where the private JWK goes (mode 0600).")],
    *,
    public: Annotated[
        Path | None, Parameter(help="Where the key set goes; `jwks.json` beside the private key.")
    ] = None,
    algorithm: Annotated[str, Parameter(help="RS256, PS256, ES256 or EdDSA.")] = "RS256",
    key_id: Annotated[str | None, Parameter(help="Key id; random by default.")] = None,
) -> int:
    """Make a development signing key and the key set that the gateway checks with."""
    from gatewright.identity.tokens import TokenError, generate, write_key_pair  # noqa: PLC0415 - start-up.

    target = public or private.parent / "jwks.json"
    try:
        if private.exists():
            raise TokenError(
                f"`{private}` exists; tokens signed with it would be refused: choose another name"
            )
        write_key_pair(generate(algorithm, key_id), private, target)
    except TokenError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"private key in {private}, key set in {target}", file=sys.stderr)
    return 0
