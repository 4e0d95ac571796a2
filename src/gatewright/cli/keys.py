"""`gatewright keys`: API keys of the store or of files, and development signing keys."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from gatewright.cli.status import Admin, AsJson

keys = App(
    name="keys",
    help="Make, show, change, rotate and revoke API keys; make development signing keys.",
    result_action="return_value",
)

KeyFile = Annotated[
    Path | None,
    Parameter(help='A key file, `{"keys": [...]}`; without it, the key store of a node or a configuration.'),
]
Config = Annotated[
    Path | None,
    Parameter(
        help="Work on the key store of this configuration itself. Without it the node is asked; where none "
        "answers, `gateway.yaml` here is taken."
    ),
]
Pairs = Annotated[
    list[str] | None, Parameter(help="`NAME=VALUE` worth keeping; may be repeated.", negative=())
]
Without = Annotated[
    list[Literal["consumer", "tier", "scopes", "networks", "expiry"]] | None,
    Parameter(help="What is taken away; may be repeated.", negative=()),
]
KeyId = Annotated[str, Parameter(help="Id of a key, as listed.")]

Document = dict[str, Any]


@keys.command
def create(  # noqa: PLR0913 - one argument an option of the command.
    file: KeyFile = None,
    *,
    partner: Annotated[str, Parameter(help="Whose key it is; becomes `X-Partner-ID`.")],
    consumer: Annotated[str | None, Parameter(help="Who of the partner uses it; for lists.")] = None,
    scope: Annotated[list[str] | None, Parameter(help="A scope; may be repeated.", negative=())] = None,
    network: Annotated[
        list[str] | None,
        Parameter(help="Where it may be used from, as `203.0.113.0/24`; may be repeated.", negative=()),
    ] = None,
    tier: Annotated[str | None, Parameter(help="Rate limit tier that replaces the route's.")] = None,
    metadata: Pairs = None,
    expires: Annotated[str | None, Parameter(help="Lifetime, such as `90d`; for ever by default.")] = None,
    pepper_file: Annotated[
        Path | None, Parameter(help="File with the identity's pepper, of keys in a file.")
    ] = None,
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Make an API key, store its hash, print the key. It is shown this once."""
    wish: Document = {
        "partner": partner,
        "consumer": consumer,
        "tier": tier,
        "scopes": scope or [],
        "networks": network or [],
        "metadata": dict(pair_of(text) for text in metadata or ()),
    }

    def made() -> Document:
        from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.

        wish["expires_in"] = lifetime_of(expires)
        if file is not None:
            return of_file(file, wish, pepper_file)
        return key_store.create(key_store.Where(config, admin), wish)

    return told(made, as_json, shown_once)


@keys.command(name="list")
def list_keys(
    file: KeyFile = None,
    *,
    partner: Annotated[str | None, Parameter(help="Of this partner only.")] = None,
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """List keys: ids, partners, scopes; never hashes."""

    def found() -> Any:
        if file is not None:
            from gatewright.identity import api_keys  # noqa: PLC0415 - start-up of the other commands.

            listed = [{name: key[name] for name in key if name != "hash"} for key in api_keys.entries(file)]
            return [key for key in listed if partner in (None, key.get("partner"))]
        from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.

        return key_store.listed(key_store.Where(config, admin), partner)

    columns = ("id", "partner", "scopes", "tier", "expires_at")
    if file is None:
        columns = ("id", "state", "partner", "consumer", "scopes", "tier", "expires_at", "last_used_at")
    return told(found, as_json, lambda listed: table_of(columns, listed))


@keys.command
def show(key: KeyId, *, config: Config = None, admin: Admin = None, as_json: AsJson = False) -> int:
    """Show what is known of a key of the store, but for its secrets."""
    from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.

    where = key_store.Where(config, admin)
    return told(lambda: key_store.show(where, key), as_json, fields)


@keys.command
def change(  # noqa: PLR0913 - one argument an option of the command.
    key: KeyId,
    *,
    partner: Annotated[str | None, Parameter(help="Whose key it is from now on.")] = None,
    consumer: Annotated[str | None, Parameter(help="Who of the partner uses it.")] = None,
    scope: Annotated[
        list[str] | None,
        Parameter(help="A scope, in place of all that it had; may be repeated.", negative=()),
    ] = None,
    network: Annotated[
        list[str] | None,
        Parameter(help="Where it may be used from, in place of all before; may be repeated.", negative=()),
    ] = None,
    tier: Annotated[str | None, Parameter(help="Rate limit tier that replaces the route's.")] = None,
    metadata: Annotated[
        list[str] | None,
        Parameter(help="`NAME=VALUE` in place of what the name had, `NAME=` to take it out.", negative=()),
    ] = None,
    expires: Annotated[str | None, Parameter(help="Lifetime from now on, such as `90d`.")] = None,
    without: Without = None,
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Let a key of the store be otherwise, on every node; what is not named stays, and so do its secrets."""
    given = {"partner": partner, "consumer": consumer, "tier": tier, "scopes": scope, "networks": network}
    wish: Document = {name: value for name, value in given.items() if value is not None}
    wish |= {"expires_at" if name == "expiry" else name: None for name in without or ()}
    if metadata:
        wish["metadata"] = {name: value or None for name, value in map(pair_of, metadata)}

    def made() -> Document:
        from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.

        if expires:
            wish["expires_in"] = lifetime_of(expires)
        return key_store.change(key_store.Where(config, admin), key, wish)

    return told(made, as_json, fields)


@keys.command
def rotate(
    key: KeyId,
    *,
    overlap: Annotated[str, Parameter(help="How long the old secret stays valid, or `0`.")] = "7d",
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Give a key of the store a new secret and print it, this once. The key keeps its id and its limits."""
    from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415

    def rotated() -> Document:
        seconds = 0 if overlap == "0" else seconds_of(overlap)
        return key_store.rotate(key_store.Where(config, admin), key, seconds)

    return told(rotated, as_json, shown_once)


@keys.command
def revoke(
    key: KeyId,
    *,
    why: Annotated[str | None, Parameter(help="Why, for whoever looks at the key.")] = None,
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """End a key of the store for ever, on every node."""
    from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.

    where = key_store.Where(config, admin)
    return told(lambda: key_store.revoke(where, key, why), as_json, lambda one: print(f"revoked {one['id']}"))


@keys.command
def usage(
    key: KeyId,
    *,
    since: Annotated[str, Parameter(help="How far back, such as `24h` or `30d`.")] = "7d",
    config: Config = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show how often a key of the store was used, by hour."""
    from gatewright.cli import key_store  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415

    def used() -> Document:
        return key_store.usage(key_store.Where(config, admin), key, seconds_of(since))

    def shown(found: Document) -> None:
        table_of(("hour", "requests"), found["hours"])
        print(f"{found['requests']} requests")

    return told(used, as_json, shown)


def told(work: Callable[[], Any], as_json: bool, show_it: Callable[[Any], object]) -> int:
    """Do it and print what it gives; 1 where it is refused."""
    from gatewright.errors import GatewrightError  # noqa: PLC0415 - start-up of the other commands.

    try:
        given = work()
    except (GatewrightError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(given, indent=2))
    else:
        show_it(given)
    return 0


def pair_of(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def lifetime_of(expires: str | None) -> int | None:
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415 - start-up of the other commands.

    return seconds_of(expires) if expires else None


def of_file(file: Path, wish: Document, pepper_file: Path | None) -> Document:
    """A new key in a file. Raises `ApiKeyError`, and `ValueError` for what only the store can keep."""
    from gatewright.identity import api_keys  # noqa: PLC0415 - start-up of the other commands.

    if wish["consumer"] or wish["metadata"]:
        raise ValueError("keys of a file have neither --consumer nor --metadata")
    lifetime = wish["expires_in"]
    new = api_keys.NewKey(
        wish["partner"],
        tuple(wish["scopes"]),
        wish["tier"],
        datetime.now(UTC) + timedelta(seconds=lifetime) if lifetime else None,
        tuple(wish["networks"]),
    )
    pepper = pepper_file.read_text(encoding="utf-8").strip() if pepper_file else None
    identifier, secret = api_keys.create(file, new, pepper)
    return {"key": secret, "id": identifier, "partner": new.partner, "file": str(file)}


def shown_once(made: Document) -> None:
    print(made["key"])
    where = made.get("file", "the key store")
    print(f"key {made['id']} for {made['partner']} stored in {where}; it is not shown again", file=sys.stderr)


def table_of(columns: tuple[str, ...], rows: list[Document]) -> None:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    table(columns, rows)


def fields(key: Document) -> None:
    table_of(("field", "value"), [{"field": name, "value": value} for name, value in key.items()])


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
