"""The `gatewright` command: one file a command, each imported only when its command is called.

To add a command, write `cli/NAME.py` with a function of that name and add one line to `COMMANDS`.
"""

import gc
import os
import sys
from collections.abc import Sequence

from cyclopts import App

from gatewright import __version__

COMMANDS = {
    "check": ("gatewright.cli.check:check", "Say everything that is wrong with a configuration."),
    "schema": ("gatewright.cli.schema:schema", "Print the JSON Schema of a configuration."),
    "routes": ("gatewright.cli.routes:routes", "Print which requests go where."),
    "run": ("gatewright.cli.run:run", "Run the gateway."),
    "demo": (
        "gatewright.cli.demo:demo",
        "Run the gateway with three sample services and print requests to try.",
    ),
    "explain": (
        "gatewright.cli.explain:explain",
        "Say why a request got its answer, or which answer it would get.",
    ),
    "token": ("gatewright.cli.token:token", "Print a signed development token."),
    "tokens": (
        "gatewright.cli.tokens:tokens",
        "Revoke tokens before they expire; list and end revocations.",
    ),
    "keys": (
        "gatewright.cli.keys:keys",
        "Make, show, change, rotate and revoke API keys; make development signing keys.",
    ),
    "password": (
        "gatewright.cli.password:password",
        "Print the hash of a password, for an identity of kind `basic`.",
    ),
    "records": ("gatewright.cli.records:records", "Print stored decision records."),
    "status": ("gatewright.cli.status:status", "Say how a node, its services and its configuration are."),
    "breakers": ("gatewright.cli.breakers:breakers", "Show and reset circuit breakers."),
    "instances": ("gatewright.cli.instances:instances", "Show, drain and undrain instances of services."),
    "alerts": ("gatewright.cli.alerts:alerts", "Show, silence and test alerts."),
    "limits": ("gatewright.cli.limits:limits", "Show, reset and set rate limits."),
    "limit-store": (
        "gatewright.cli.limit_store:limit_store",
        "Show the Redis of shared limits, and go on without it for a time.",
    ),
    "addresses": ("gatewright.cli.addresses:addresses", "Show, block and unblock networks."),
    "audit": ("gatewright.cli.audit:audit", "Show the audit log, and check that nobody changed it."),
    "drain": ("gatewright.cli.drain:drain", "Let a node finish what is under way, and end."),
}
"""Name of a command to its function and its line in `--help`, kept here so that help imports no command.

The function gives the exit code: 0 fine, 1 the answer is no.
"""

WRONG_USE = 2
"""Exit code for a command line that cannot be understood."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""


def build_app() -> App:
    """Give the application with every command registered and none imported."""
    app = App(
        name="gatewright",
        help="An API gateway: Python decides, Rust enforces.",
        version=__version__,
        result_action="return_value",
    )
    for name, (target, summary) in COMMANDS.items():
        app.command(target, name=name, help=summary)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line; give its exit code: 0 fine, 1 the answer is no, 2 wrong use."""
    from cyclopts import CycloptsError  # noqa: PLC0415 -- only wrong use needs it by name.

    try:
        outcome = build_app()(list(arguments), exit_on_error=False, print_error=True)
    except CycloptsError:
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not complain while it closes it
        # either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:
        code = run(sys.argv[1:])
    finally:
        # Nothing is used any more. To find that out takes longer than all else at the end of a process.
        gc.freeze()
    sys.exit(code)
