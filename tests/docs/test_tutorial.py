"""The tutorial works as written: every file is saved, every command typed, every answer compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_every_step_of_the_tutorial_works_as_written(
    terminal: Any, repository: Path, blocks_of: Callable[..., Any], missing: Callable[..., Any]
) -> None:
    paper = repository / "docs" / "tutorial.md"
    output, live, typed = "", 0, 0
    for fence in blocks_of(paper):
        if fence.language == "yaml":
            terminal.save("gateway.yaml", fence.text)
            live = terminal.version(live + 1) if live else 0
        elif fence.language == "sh":
            output, typed = terminal.type(fence.text), typed + 1
            live = terminal.version(1) if "gatewright run" in fence.text else live
        elif typed:
            # A text before the first command is what a person does in a checkout.
            assert missing(terminal.here(fence.text), output) == [], f"{fence}: the answer was\n{output}"
    assert typed > 10
