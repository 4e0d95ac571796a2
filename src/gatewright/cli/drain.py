"""`gatewright drain`: take a node out of service."""

import json
import sys

from gatewright.cli.status import Admin, AsJson


def drain(*, admin: Admin = None, as_json: AsJson = False) -> int:
    """Let the node finish what is under way, accept nothing more, and end."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    try:
        done = ask("POST", "/api/v1/drain", admin)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(done) if as_json else done["status"])
    return 0
