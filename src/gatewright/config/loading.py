"""`load`: files to a checked configuration, or every problem at once."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gatewright.config.certificates import TlsMaterial, gather_tls
from gatewright.config.crosschecks import View, check_all
from gatewright.config.gathering import gather
from gatewright.config.key_material import KeyUrl, gather_keys
from gatewright.config.models import SECTION_LISTS, Gateway
from gatewright.config.positions import Node, Position
from gatewright.config.validation import validate
from gatewright.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration and where it came from."""

    gateway: Gateway
    root: Node
    """The data with positions, as written."""
    files: tuple[Path, ...]
    """Every file that was read: configuration, key files, `${file:...}`. A change of one of them changes the
    result.
    """
    texts: Mapping[str, bytes] = field(repr=False)
    """What the configuration files say, as written, by their names in positions; not what else was read."""
    directories: tuple[Path, ...]
    """Every directory that was listed: a file that appears there changes the result."""
    warnings: tuple[Problem, ...]
    keys: Mapping[str, Mapping[str, Any]]
    """Keys by the name of their identity, in the form of the snapshot; not those to fetch."""
    key_urls: tuple[KeyUrl, ...]
    """Key sets to fetch, for identities that are not in `keys`."""
    password_hashes: tuple[str, ...] = field(repr=False)
    """Of all users; no snapshot has them."""
    tls: TlsMaterial
    """Certificates, private keys and authorities."""

    def at(self, *location: str | int) -> Position:
        """Give the place of a part of the configuration, or of what is around it where it was left out."""
        return self.root.find(location)


def load(paths: Sequence[Path], environment: Mapping[str, str] | None = None) -> Loaded:
    """Read files and directories, with all that they include, and check them.

    `environment` is this process's own by default. Raises `ConfigError` with every problem, warnings
    included, when there is an error. Blocks on files only; nothing is fetched or looked up.
    """
    gathered = gather([Path(path) for path in paths], os.environ if environment is None else environment)
    gateway, shape = validate(gathered.root)
    root = _without_problems(gathered.root, gateway)
    keys = gather_keys(gateway, root)
    tls = gather_tls(gateway, root, keys)
    problems = [*gathered.problems, *shape, *keys.problems]
    # Names come from the text, so that what has a problem of its own is still known.
    names = {section: _names(gathered.root, section) for section in SECTION_LISTS}
    broken = any(problem.severity == "error" for problem in (*gathered.problems, *shape))
    problems += check_all(View(gateway, root, names, tuple(keys.tiers), complete=not broken))
    # What could not be replaced is empty now, and whatever else is found there is only a consequence.
    failed = gathered.substitution.problems
    places = {_place(problem) for problem in failed}
    problems = [problem for problem in problems if problem in failed or _place(problem) not in places]
    found = sorted({gathered.substitution.redact(problem) for problem in problems})
    if any(problem.severity == "error" for problem in found):
        raise ConfigError(found)
    return Loaded(
        gateway=gateway,
        root=gathered.root,
        files=_unique([*gathered.files, *gathered.substitution.files, *keys.files]),
        texts=gathered.texts,
        directories=_unique(gathered.directories),
        warnings=tuple(found),
        keys=keys.documents,
        key_urls=tuple(keys.urls),
        password_hashes=tuple(keys.password_hashes),
        tls=tls,
    )


def _place(problem: Problem) -> tuple[str, int, int]:
    return (problem.path, problem.line, problem.column)


def _unique(paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(paths))


def _names(root: Node, section: str) -> list[str]:
    entry = root.entry(section)
    named = [item.entry("name") for item in (entry.node.items() if entry else [])]
    return [name.node.value for name in named if name is not None and isinstance(name.node.value, str)]


def _without_problems(root: Node, gateway: Gateway) -> Node:
    """Give the tree with only those elements that the model kept, so that numbers of elements agree."""
    if not isinstance(root.value, dict):
        return root
    entries = dict(root.value)
    for section in SECTION_LISTS:
        entry = entries.get(section)
        if entry is None or len(entry.node.items()) == len(getattr(gateway, section)):
            continue
        kept = [element.name for element in getattr(gateway, section)]
        items = []
        for item in entry.node.items():
            name = item.entry("name")
            if name is not None and kept and name.node.value == kept[0]:
                items.append(item)
                kept.pop(0)
        entries[section] = replace(entry, node=Node(entry.node.position, items))
    return Node(root.position, entries)
