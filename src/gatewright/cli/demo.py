"""`gatewright demo`: the gateway with three sample services, and requests to try."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from gatewright.admin.server import AdminServer
    from gatewright.control.node import Node
    from gatewright.demo.lines import Line


def demo(
    *,
    check: Annotated[
        bool, Parameter(help="Run every line, compare with what it promises, end.", negative=())
    ] = False,
    port_base: Annotated[
        int | None, Parameter(help="First of five ports; 8080, 9901, 9001 to 9003 by default.")
    ] = None,
    directory: Annotated[Path, Parameter(help="Where keys, configuration and records go.")] = Path(".demo"),
) -> int:
    """Run the gateway before three sample services and print requests that work as printed."""
    import logging  # noqa: PLC0415 - start-up of the other commands.

    from gatewright.control import logs  # noqa: PLC0415
    from gatewright.control.run import RunOptions, run_node  # noqa: PLC0415
    from gatewright.demo.lines import lines  # noqa: PLC0415
    from gatewright.demo.services import running  # noqa: PLC0415
    from gatewright.demo.setting import SERVICES, Ports, prepare  # noqa: PLC0415
    from gatewright.errors import GatewrightError  # noqa: PLC0415

    logs.configure(level=logging.ERROR)
    ports = Ports() if port_base is None else Ports.from_base(port_base)
    try:
        ports.check()
        options = RunOptions((prepare(directory, ports),))
        guide = Guide(lines(directory, ports), check)
        with running(SERVICES, ports.services):
            return run_node(options, ready=guide.show) or guide.code
    except (GatewrightError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


class Guide:
    """Prints the lines once the gateway is ready; with `check`, runs them and ends the gateway."""

    def __init__(self, found: "list[Line]", check: bool) -> None:
        self._lines = found
        self._check = check
        self.code = 0

    async def show(self, node: "Node", _: "AdminServer") -> None:
        """Called by the node as soon as it serves."""
        from gatewright.demo.lines import printed  # noqa: PLC0415 - start-up of the other commands.

        if not self._check:
            how = "Paste these into another terminal, in this directory; end with Ctrl-C."
            print(f"\nThe gateway runs. {how}\n\n{printed(self._lines)}", flush=True)
            return
        try:
            await self._run_all()
        finally:
            node.drain_wanted.set()

    async def _run_all(self) -> None:
        from gatewright.demo.lines import check  # noqa: PLC0415 - start-up of the other commands.

        # Anything that stops the checks half way must not look like success.
        self.code = 1
        faults = 0
        for line in self._lines:
            fault = await check(line)
            faults += fault is not None
            print(f"{'ok  ' if fault is None else 'FAIL'} {line.title}\n     {line.command}", flush=True)
            if fault is not None:
                print(f"     {fault}", flush=True)
        self.code = 1 if faults else 0
