"""From the claims of a user to what the data plane keeps of him."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatewright.identity.oidc.settings import ClaimSettings, TokenError, UserError

MAXIMUM_NAME_BYTES = 256
MAXIMUM_NAMES = 200
MAXIMUM_SECONDS = 10 * 365 * 86_400

Claims = Mapping[str, Any]


def granted(claims: Claims | None, tokens: Mapping[str, Any], settings: ClaimSettings) -> dict[str, Any]:
    """The document of what was granted, as `answer` takes it. Without claims the user is as before. Raises
    `TokenError` and `UserError`.
    """
    return {
        "named": None if claims is None else named(claims, tokens, settings),
        "access_ms": lifetime(tokens.get("expires_in")),
        "refresh_token": text(tokens.get("refresh_token")),
        "id_token": text(tokens.get("id_token")),
    }


def named(claims: Claims, tokens: Mapping[str, Any], settings: ClaimSettings) -> dict[str, Any]:
    user = find(claims, settings.user)
    if not isinstance(user, str) or not is_name(user):
        raise UserError(f"the claim `{settings.user}` is no name")
    scopes = names(claims, settings.scopes)
    if not scopes and not any(find(claims, path) is not None for path in settings.scopes):
        scopes = names(tokens, ("scope",))
    return {
        "user": user,
        "subject": text(claims.get("sub")),
        "scopes": scopes,
        "roles": roles(claims, settings.roles),
        "claims": {name: claims[name] for name in settings.kept if name in claims} or None,
        "provider_session": text(claims.get("sid")),
    }


def find(claims: Claims, path: str) -> Any:
    """The claim at a path such as `realm_access.roles`. Names may have dots themselves: at each step the
    longest name that leads on is taken.
    """
    if path in claims:
        return claims[path]
    for at in range(len(path) - 1, 0, -1):
        below = claims.get(path[:at]) if path[at] == "." else None
        found = find(below, path[at + 1 :]) if isinstance(below, Mapping) else None
        if found is not None:
            return found
    return None


def names(claims: Claims, paths: tuple[str, ...]) -> list[str]:
    """Scopes or roles: texts with spaces, or lists; none twice, in the order found. Raises `TokenError`."""
    found: dict[str, None] = {}
    for path in paths:
        for name in listed(find(claims, path), path):
            if not (name.isascii() and name.isprintable() and " " not in name):
                raise TokenError(f"`{path}` has a name that is not visible ASCII")
            found[name] = None
    if len(found) > MAXIMUM_NAMES:
        raise TokenError(f"more than {MAXIMUM_NAMES} scopes or roles")
    return list(found)


def roles(claims: Claims, paths: tuple[str, ...]) -> list[str]:
    """As `names`; a service reads them between commas. Raises `TokenError`."""
    found = names(claims, paths)
    if any("," in name for name in found):
        raise TokenError("a role has a comma")
    return found


def listed(value: object, path: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, str):
        yield from value.split()
    elif isinstance(value, list) and all(isinstance(name, str) and name for name in value):
        yield from value
    else:
        raise TokenError(f"`{path}` is neither a text nor a list of texts")


def is_name(text: str) -> bool:
    """Can it be sent as the whole value of a header, and arrive as it was sent?"""
    controls = any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text)
    return 0 < len(text.encode()) <= MAXIMUM_NAME_BYTES and text.strip() == text and not controls


def text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def lifetime(value: object) -> int | None:
    """`expires_in` in milliseconds. Some providers send it as a text."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return None
    return int(min(seconds, MAXIMUM_SECONDS) * 1000) if seconds > 0 else None
