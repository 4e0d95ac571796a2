"""`python -m gatewright.cli.reference`: the reference of every command, written from what `--help` prints."""

import re
import sys
from pathlib import Path

from gatewright.cli import build_app

DEFAULT_PATH = Path("docs/reference/cli.md")

_INTRODUCTION = """# Commands

Written by `python -m gatewright.cli.reference` from the commands; do not edit.

`gw` is the short name of `gatewright`. Exit codes: 0 fine, 1 the answer is no, 2 wrong use. Commands that
talk to a node take `--admin URL`; [how they find it](admin.md#how-commands-find-a-node) without.
"""


def reference() -> str:
    """Give the whole page."""
    generated = build_app().generate_docs(output_format="markdown", recursive=True)
    # From the first command on: what stands before are two lists of them.
    start = generated.index("\n## gatewright ")
    commands = re.sub(r"\n{3,}", "\n\n", generated[start:])
    return _INTRODUCTION + commands.rstrip() + "\n"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH
    # Usage lines begin with the program that runs; here, with the one that readers type.
    sys.argv[0] = "gatewright"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
