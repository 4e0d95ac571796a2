"""`${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` inside texts, and keeping what they gave out of
messages.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gatewright.config.positions import Node, Position
from gatewright.errors import Problem

_EXPRESSION = re.compile(r"\$\$\{|\$\{([A-Za-z_]+):([^}]*)\}")
_DEFAULT = ":-"
_SHORT = 4
"""A secret shorter than this is only taken out of messages between backticks, where values are shown."""

MAX_FILE_BYTES = 1_048_576


@dataclass(slots=True)
class Substitution:
    """Replaces expressions in a tree. `files` are those that were read, `problems` what could not be
    replaced.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _secrets: dict[str, str] = field(default_factory=dict)

    def apply(self, root: Node, directory: Path) -> None:
        """Replace every expression below a node, in place; paths are relative to `directory`."""
        for node in root.scalars():
            if isinstance(node.value, str) and "${" in node.value:
                self._replace(node, node.value, directory)

    def _replace(self, node: Node, written: str, directory: Path) -> None:
        def value(match: re.Match[str]) -> str:
            if match[1] is None:
                return "${"
            found = self._found(match, node.position, directory)
            self._remember(found, match[0])
            return found

        replaced = _EXPRESSION.sub(value, written)
        if replaced != written.replace("$${", "${"):
            self._remember(replaced, written)
        node.value = replaced

    def _found(self, match: re.Match[str], position: Position, directory: Path) -> str:
        if match[1] == "env":
            return self._from_environment(match[2], position)
        if match[1] == "file":
            return self._from_file(match[2], position, directory)
        cure = "write `${env:NAME}` or `${file:PATH}`, or `$${` for the characters themselves"
        self.problems.append(position.problem(f"unknown expression `{match[0]}`; {cure}"))
        return ""

    def _from_environment(self, expression: str, position: Position) -> str:
        name, separator, default = expression.partition(_DEFAULT)
        if name in self.environment:
            return self.environment[name]
        if not separator:
            cure = f"set it, or write `${{env:{name}:-default}}`"
            self.problems.append(position.problem(f"environment variable `{name}` is not set; {cure}"))
        return default

    def _from_file(self, name: str, position: Position, directory: Path) -> str:
        path = directory / name
        self.files.append(path)
        try:
            with path.open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                self.problems.append(position.problem(f"file `{path}` is larger than 1 MiB"))
            return content.decode().rstrip("\r\n")
        except OSError as error:
            self.problems.append(position.problem(f"file `{path}` cannot be read: {error.strerror}"))
        except UnicodeDecodeError:
            self.problems.append(position.problem(f"file `{path}` is not UTF-8 text"))
        return ""

    def _remember(self, secret: str, source: str) -> None:
        if secret:
            self._secrets[secret] = source

    def redact(self, problem: Problem) -> Problem:
        """Give the problem with what came from expressions put back as they were written."""
        message = problem.message
        # The longest first, because one secret may be a part of another.
        for secret, source in sorted(self._secrets.items(), key=lambda item: -len(item[0])):
            if len(secret) >= _SHORT:
                message = message.replace(secret, source)
            else:
                message = message.replace(f"`{secret}`", f"`{source}`")
        return replace(problem, message=message)
