"""The tour of the README works as written, against the gateway of `gatewright demo`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def demo(terminal: Any, ports_in_a_row: Callable[[int], int]) -> Any:
    """A terminal in which the demo runs; its ports are five in a row."""
    base = ports_in_a_row(5)
    terminal.use({"8080": base, "9901": base + 1, "9001": base + 2, "9002": base + 3, "9003": base + 4})
    terminal.type(f"gatewright demo --port-base {base} >demo.log 2>&1 &")
    return terminal


def test_the_tour_of_the_readme_works_as_written(
    demo: Any, repository: Path, blocks_of: Callable[..., Any], missing: Callable[..., Any]
) -> None:
    output, typed = "", 0
    for fence in blocks_of(repository / "README.md"):
        if fence.language == "sh":
            output, typed = demo.type(fence.text), typed + 1
        elif fence.language == "text" and typed:
            # A text before the first command is what a person does in a checkout.
            assert missing(demo.here(fence.text), output) == [], f"{fence}: the answer was\n{output}"
    assert typed > 7
