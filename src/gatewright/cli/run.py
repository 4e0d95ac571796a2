"""`gatewright run`: the gateway itself."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def run(
    *configs: Path,
    workers: Annotated[int | None, Parameter(help="Worker threads; one per processor by default.")] = None,
    last_good: Annotated[
        bool,
        Parameter(help="Start from the last good snapshot when the configuration is invalid.", negative=()),
    ] = False,
    takeover: Annotated[
        bool,
        Parameter(
            help="Take over from the node that runs with the same state directory, without a failed request; "
            "start as usual when none does.",
            negative=(),
        ),
    ] = False,
) -> int:
    """Run the gateway until SIGTERM or SIGINT.

    Reloads when files change and on SIGHUP; an invalid configuration changes nothing and is shown on
    `/health`.

    Parameters
    ----------
    configs
        Files or directories; `gateway.yaml` of the working directory by default.
    """
    from gatewright.control import logs  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.control.run import RunOptions, as_paths, run_node, say  # noqa: PLC0415

    if workers is not None and workers < 1:
        say("--workers: must be at least 1")
        return 2
    logs.configure()
    return run_node(RunOptions(as_paths(configs), workers, last_good, takeover))
