"""`gatewright password`: the hash of a password, for an identity of kind `basic`."""

import sys
from typing import Annotated

from cyclopts import Parameter

LONGEST = 1024


def password(
    *,
    memory: Annotated[int, Parameter(help="MiB that a check takes, 7 to 1024.")] = 64,
    rounds: Annotated[int, Parameter(help="Rounds over that memory, 1 to 20.")] = 3,
) -> int:
    """Print the argon2id hash of a password, which is asked for twice, or read from standard input where that
    is no terminal. It is never an argument, since others can see those.
    """
    from gatewright.config.password_hashes import read  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.identity.passwords import Cost, decoy, hash_of  # noqa: PLC0415

    try:
        cost = Cost(memory_kib=memory * 1024, rounds=rounds, lanes=1, hash_bytes=32)
        read(decoy(cost))
        print(hash_of(asked_for(), cost))
    except ImportError:
        print("argon2-cffi is not installed; `pip install 'gatewright[passwords]'`", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"the password's hash {error}" if "takes" in str(error) else error, file=sys.stderr)
        return 1
    return 0


def asked_for() -> str:
    """The password. Raises `ValueError` where it cannot be one."""
    import getpass  # noqa: PLC0415 - start-up of the other commands.

    if not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != given:
            raise ValueError("the two differ; nothing was hashed")
    if not given or len(given.encode()) > LONGEST or not given.isprintable():
        raise ValueError(f"a password has 1 to {LONGEST} bytes, and no control characters")
    return given
