"""`gatewright token`: a development JWT."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def token(  # noqa: PLR0913 - one argument an option of the command.
    *,
    key: Annotated[
        Path, Parameter(help="Private key as a JWK file; `gatewright keys generate-jwk` makes one.")
    ],
    subject: Annotated[str, Parameter(help="Whom the token speaks for (`sub`).")] = "dev-user",
    issuer: Annotated[str | None, Parameter(help="Who issued it (`iss`).")] = None,
    audience: Annotated[str | None, Parameter(help="Whom it is for (`aud`).")] = None,
    scope: Annotated[list[str] | None, Parameter(help="A scope; may be repeated.", negative=())] = None,
    expires: Annotated[str, Parameter(help="Lifetime, such as `15m` or `1h`.")] = "1h",
) -> int:
    """Print a signed development token. Production tokens come from an identity provider."""
    import sys  # noqa: PLC0415 - start-up of the other commands.
    import time  # noqa: PLC0415

    from gatewright.cli.durations import seconds_of  # noqa: PLC0415
    from gatewright.identity.tokens import TokenError, TokenRequest, mint  # noqa: PLC0415

    try:
        wanted = TokenRequest(subject, issuer, audience, tuple(scope or ()), seconds_of(expires))
        print(mint(key, wanted, int(time.time())))
    except (TokenError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
