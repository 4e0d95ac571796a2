"""Several files to one tree: files, directories, `include`, and joining what they hold."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.config.formats import SUFFIXES, read_file
from gatewright.config.models import SECTION_LISTS
from gatewright.config.positions import Entry, Node, Position
from gatewright.config.substitution import Substitution
from gatewright.errors import ConfigError, Problem

MAX_FILES = 1000


@dataclass(slots=True)
class Gathered:
    """What files hold together. `directories` were listed: a file that appears there matters."""

    root: Node
    files: list[Path] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    """What each file says, by its path as problems name it."""
    directories: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    substitution: Substitution = field(default_factory=Substitution)


def gather(paths: Sequence[Path], environment: Mapping[str, str]) -> Gathered:
    """Read files and directories and all that they include, and join them. Problems are collected, never
    raised.
    """
    shown = str(paths[0]) if paths else "."
    gathered = Gathered(Node(Position(shown, 1, 1), {}), substitution=Substitution(environment))
    start = Position(shown, 1, 1)
    for path in paths:
        for file in _expand(path, start, gathered):
            _read(file, Position(str(file), 1, 1), (), gathered)
    gathered.problems.extend(gathered.substitution.problems)
    return gathered


def _expand(path: Path, position: Position, gathered: Gathered) -> list[Path]:
    """Give the files that a path stands for: itself, or the configuration files of a directory in order of
    name.
    """
    if not path.is_dir():
        return [path]
    gathered.directories.append(path)
    found = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
    if not found:
        suffixes = ", ".join(f"`*{suffix}`" for suffix in SUFFIXES)
        gathered.problems.append(
            position.problem(f"directory `{path}` holds no configuration; looked for {suffixes}")
        )
    return found


def _read(path: Path, position: Position, around: tuple[Path, ...], gathered: Gathered) -> None:
    """Read one file and what it includes; `around` are the files that it is included by."""
    identity = path.resolve()
    if identity in around:
        chain = " -> ".join(item.name for item in (*around, identity))
        gathered.problems.append(position.problem(f"files include each other: {chain}"))
        return
    if any(identity == known.resolve() for known in gathered.files):
        return
    if len(gathered.files) >= MAX_FILES:
        gathered.problems.append(position.problem(f"more than {MAX_FILES} files"))
        return
    gathered.files.append(path)
    try:
        node = read_file(path, str(path))
    except ConfigError as error:
        gathered.problems.extend(error.problems)
        return
    # Read again rather than passed on by every format: whoever changes it in between makes another version.
    with contextlib.suppress(OSError):
        gathered.texts[str(path)] = path.read_bytes()
    gathered.substitution.apply(node, path.parent)
    if not isinstance(node.value, dict):
        gathered.problems.append(
            node.position.problem("expected sections such as `listeners:` and `routes:`")
        )
        return
    _absolute_paths(node, path.parent)
    _join(gathered, node.value)
    _include(node, path, (*around, identity), gathered)


def _include(node: Node, path: Path, around: tuple[Path, ...], gathered: Gathered) -> None:
    entry = node.entry("include")
    if entry is None:
        return
    for item in entry.node.items() or [entry.node]:
        # Anything but a text is refused by the model, where it is still to be seen.
        if isinstance(item.value, str):
            for file in _matches(item.value, item.position, path.parent, gathered):
                _read(file, item.position, around, gathered)


def _matches(written: str, position: Position, directory: Path, gathered: Gathered) -> list[Path]:
    """Give the files that one line of `include` stands for."""
    target = directory / written
    if not any(character in written for character in "*?["):
        if not target.exists():
            gathered.problems.append(position.problem(f"included file `{target}` does not exist"))
            return []
        return _expand(target, position, gathered)
    anchor = Path(target.anchor) if target.is_absolute() else Path()
    gathered.directories.append(target.parent)
    found = sorted(item for item in anchor.glob(str(target.relative_to(anchor))) if item.is_file())
    if not found:
        gathered.problems.append(position.problem(f"`{written}` matches no file"))
    return found


def _join(gathered: Gathered, sections: dict[str, Entry]) -> None:
    joined = gathered.root.value
    if not isinstance(joined, dict):
        return
    for key, entry in sections.items():
        known = joined.get(key)
        if known is None:
            joined[key] = entry
        elif key in SECTION_LISTS or key == "include":
            _append(known, entry)
        elif key != "version" or known.node.value != entry.node.value:
            gathered.problems.append(
                entry.position.problem(
                    f"`{key}` is given a second time; it stands at {known.position} already"
                )
            )


def _append(known: Entry, entry: Entry) -> None:
    """Put two lists together in a new one; what is no list becomes an element, which the model refuses."""
    first = known.node.value if isinstance(known.node.value, list) else [known.node]
    second = entry.node.value if isinstance(entry.node.value, list) else [entry.node]
    known.node = Node(known.node.position, [*first, *second])


_FILES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # One key may stand for a list of one.
    (("identities", "*", "keys"), ("public_key",)),
    (("identities", "*", "keys", "*"), ("public_key",)),
    (("listeners", "*", "tls", "certificates", "*"), ("file", "key_file")),
    (("listeners", "*", "tls", "client_certificates"), ("ca_file", "crl_file")),
    (("services", "*", "tls", "certificate"), ("file", "key_file")),
    (("services", "*", "tls"), ("ca_file",)),
    (("redis", "tls"), ("ca_file",)),
    (("redis", "tls", "certificate"), ("file", "key_file")),
    (("records", "sinks", "*"), ("path",)),
    (("records", "sinks", "*", "spill"), ("directory",)),
    (("records", "sinks", "*", "tls"), ("ca_file",)),
    (("records", "sinks", "*", "tls", "certificate"), ("file", "key_file")),
    (("tracing", "export"), ("ca_file",)),
    (("tracing", "export", "spill"), ("directory",)),
    (("routes", "*", "static"), ("root",)),
    (("node",), ("state_directory",)),
)
"""Where files are named, and by which keys."""


def _absolute_paths(node: Node, directory: Path) -> None:
    """Make paths relative to the file that holds them, because the joined tree no longer knows which that
    was.
    """
    for place in (
        ("identities", "*", "jwks"),
        ("identities", "*", "public_key"),
        ("identities", "*", "keys"),
        ("identities", "*", "users"),
    ):
        for found in _at(node, place):
            _anchor(found, "file", directory)
            if isinstance(found.value, str):
                found.value = str(directory / found.value)
    for place, names in _FILES:
        for found in _at(node, place):
            for name in names:
                _anchor(found, name, directory)
    _anchor_lists(node, directory)


def _anchor_lists(node: Node, directory: Path) -> None:
    for place in (("address_lists", "*"), ("geography",), ("reputation",)):
        for found in _at(node, place):
            _anchor(found, "file", directory)


def _anchor(node: Node, key: str, directory: Path) -> None:
    entry = node.entry(key)
    if entry is not None and isinstance(entry.node.value, str) and entry.node.value:
        entry.node.value = str(directory / entry.node.value)


def _at(node: Node, place: tuple[str, ...]) -> list[Node]:
    """Give the nodes at a place; `*` stands for every element of a list, or for what stands in place of a
    list.
    """
    found = [node]
    for segment in place:
        below: list[Node] = []
        for item in found:
            if segment == "*":
                below.extend(item.items() or [item])
            elif (entry := item.entry(segment)) is not None:
                below.append(entry.node)
        found = below
    return found
