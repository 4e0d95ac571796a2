"""`gatewright tokens`: revoke tokens before they expire, list and end revocations."""

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from gatewright.cli.status import Admin, AsJson

tokens = App(
    name="tokens",
    help="Revoke tokens before they expire; list and end revocations.",
    result_action="return_value",
)

Document = dict[str, Any]

LIST = "/api/v1/tokens/revocations"
PAGE = 1000
# Longer than the leeway of any identity, within which a token that has expired is still good.
LEEWAY_SECONDS = 660


@tokens.command
def revoke(  # noqa: PLR0913 - one argument an option of the command.
    token_ids: Annotated[tuple[str, ...], Parameter(help="Tokens, by their `jti`.")] = (),
    *,
    token: Annotated[
        Path | None, Parameter(help="File with a token, whose `jti` and `exp` are taken; `-` for the input.")
    ] = None,
    subject: Annotated[
        list[str] | None, Parameter(help="Every token of this user; may be repeated.", negative=())
    ] = None,
    identity: Annotated[
        str | None, Parameter(help="Only tokens for this identity; with nothing else, all of them.")
    ] = None,
    everyone: Annotated[bool, Parameter(help="Every token of all identities.", negative=())] = False,
    issued_before: Annotated[
        str | None,
        Parameter(help="Of users and identities, tokens issued before this RFC 3339 time; now by default."),
    ] = None,
    expires: Annotated[
        str | None, Parameter(help="How long it holds, such as `90d`; `revocations.lifetime` by default.")
    ] = None,
    why: Annotated[str | None, Parameter(help="Why, for whoever looks at the list.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Revoke tokens on every node: single ones, those of users, or of a whole identity."""
    wish: Document = {
        "token_ids": list(token_ids),
        "subjects": subject or [],
        "identity": identity,
        "everyone": everyone,
        "issued_before": issued_before,
        "why": why,
    }
    return told(
        lambda: ask_to_revoke(wish, token, expires, admin), as_json, lambda done: said("revoked", done)
    )


@tokens.command(name="list")
def list_revocations(*, admin: Admin = None, as_json: AsJson = False) -> int:
    """List the revocations that are in force."""

    def found() -> list[Document]:
        from gatewright.cli.admin import ask  # noqa: PLC0415 - start-up of the other commands.

        listed: list[Document] = []
        more = True
        while more:
            after = listed[-1]["id"] if listed else ""
            page = ask("GET", LIST, admin, {"after": after, "limit": PAGE})
            listed += page["revocations"]
            more = page["more"]
        return listed

    def show(listed: list[Document]) -> None:
        from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

        table(("id", "kind", "identity", "value", "issued_before", "until", "by", "why"), listed)

    return told(found, as_json, show)


@tokens.command
def restore(
    revocation: Annotated[str, Parameter(help="Id of a revocation, as listed.")],
    *,
    why: Annotated[str | None, Parameter(help="Why, for the audit log.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """End a revocation on every node: its tokens are good again until they expire."""

    def restored() -> Document:
        from urllib.parse import quote  # noqa: PLC0415 - start-up of the other commands.

        from gatewright.cli.admin import ask, who  # noqa: PLC0415

        asked = {"by": who()} | ({"why": why} if why else {})
        return ask("POST", f"{LIST}/{quote(revocation, safe='')}/restore", admin, asked)

    return told(restored, as_json, lambda done: said("restored", done))


def ask_to_revoke(wish: Document, token: Path | None, expires: str | None, admin: str | None) -> Document:
    """Complete a wish and have it done. Raises `GatewrightError`, `OSError` or `ValueError`."""
    from gatewright.cli.admin import ask, who  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415

    if expires is not None:
        wish["expires_in"] = seconds_of(expires)
    if token is not None:
        name_token(wish, sys.stdin.read() if str(token) == "-" else token.read_text(encoding="utf-8"))
    return ask("POST", "/api/v1/tokens/revoke", admin, {"by": who()}, wish)


def told(work: Callable[[], Any], as_json: bool, show: Callable[[Any], object]) -> int:
    """Do it and print what it gives; 1 where it is refused, and where it would not outlive the process."""
    from gatewright.errors import GatewrightError  # noqa: PLC0415 - start-up of the other commands.

    try:
        given = work()
    except (GatewrightError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(given, indent=2))
    else:
        show(given)
    return 0 if isinstance(given, list) or given["stored"] else 1


def said(word: str, done: Document) -> None:
    for one in done["revocations"]:
        what = f"{one['kind']} {one['value'] or one['identity'] or 'everyone'}"
        print(f"{word} {what} ({one['id']}) until {one['until']}")
    if not done["stored"]:
        print("warning: it could not be stored; a restart of the node would undo it", file=sys.stderr)
    if done["shared"] is False:
        print("warning: Redis could not be asked; other nodes are told when it can", file=sys.stderr)


def name_token(wish: Document, text: str) -> None:
    """Add a token to a wish by what it says of itself. Raises `ValueError` for one that cannot be named."""
    try:
        part = text.strip().removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        identifier, expiry = claims.get("jti"), claims.get("exp")
    except (IndexError, ValueError, AttributeError) as error:
        raise ValueError("that is no token (JWT)") from error
    if not isinstance(identifier, str):
        raise ValueError("the token has no `jti`; revoke the tokens of its user with --subject")
    wish["token_ids"].append(identifier)
    if isinstance(expiry, int | float) and len(wish["token_ids"]) == 1 and not wish["subjects"]:
        left = max(0, int(expiry - time.time())) + LEEWAY_SECONDS
        wish.setdefault("expires_in", min(left, 3650 * 86_400))
