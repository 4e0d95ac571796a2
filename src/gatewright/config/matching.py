"""Paths and hosts of routes: how they are written, what they mean, and which goes before which."""

import re
from dataclasses import dataclass
from typing import Literal

_SEGMENT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_ADDRESS = re.compile(r"\[[0-9a-f:.]+\]")
_META = re.compile(r"[\\.^$*+?{}\[\]()|]")

_GROUP = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")

MAX_PARAMETERS = 16

Kind = Literal["exact", "pattern", "prefix", "regex"]
KIND_RANK: dict[str, int] = {"exact": 3, "pattern": 2, "prefix": 1, "regex": 0}
"""Exact beats parameter beats prefix beats regex."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path as a route matches it. `text` is the path, prefix or expression alone."""

    kind: Kind
    text: str

    def shape(self) -> str:
        """Give the text with parameter names taken out: two patterns of one shape match the same paths."""
        return self.text if self.kind == "regex" else _SEGMENT.sub("{}", self.text)

    def rank(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Give what orders paths, higher first, as `route/precedence.rs` does.

        That is the kind, the depth of prefixes, how many segments are literal, and the leftmost literal one.
        """
        if self.kind in {"exact", "regex"}:
            return (KIND_RANK[self.kind], 0, 0, ())
        segments = [segment for segment in self.text.split("/") if segment]
        literal = tuple(0 if _SEGMENT.fullmatch(segment) else 1 for segment in segments)
        return (KIND_RANK[self.kind], len(segments) if self.kind == "prefix" else 0, sum(literal), literal)

    def names(self) -> list[str]:
        """Give what a redirect may take from a path: the names it binds, `*` for all behind a prefix."""
        found = (_GROUP if self.kind == "regex" else _SEGMENT).findall(self.text)
        return [*found, "*"] if self.kind == "prefix" else found

    def literal_start(self) -> str:
        """Give what every matching path begins with, as far as it is plain text."""
        if self.kind != "regex":
            return self.text.partition("{")[0]
        text = self.text.removeprefix("^")
        meta = _META.search(text)
        if meta is None:
            return text
        # A quantifier makes the character before it optional or repeated, so that one is not certain.
        end = meta.start() - 1 if meta[0] in "*?{+" else meta.start()
        return "" if "|" in text else text[: max(end, 0)]

    def written(self) -> str:
        """Give the path in the user's notation."""
        if self.kind == "regex":
            return f"regex:{self.text}"
        if self.kind == "prefix":
            return f"{self.text.rstrip('/')}/*"
        return self.text


def classify(path: str) -> PathPattern:
    """Read a path of a route. Does not refuse; `check_path` does."""
    if path.startswith("regex:"):
        return PathPattern("regex", path.removeprefix("regex:"))
    if path.endswith("/*"):
        return PathPattern("prefix", path.removesuffix("/*") or "/")
    return PathPattern("pattern" if "{" in path else "exact", path)


def check_path(path: str) -> str:
    """Give the path back. Raises `ValueError` with what would work where it cannot be matched."""
    if path.startswith("regex:"):
        return path
    if not path.startswith("/"):
        message = f"a path starts with `/`: write `/{path}`, or `regex:` before a regular expression"
        raise ValueError(message)
    if re.search(r"[?#\s\x00-\x1f]", path):
        message = "a path has no `?`, `#` or spaces; match query parameters with `query`"
        raise ValueError(message)
    segments = path.removeprefix("/").removesuffix("*").removesuffix("/").split("/")
    if (path.endswith("*") and not path.endswith("/*")) or any("*" in segment for segment in segments):
        message = "`*` stands only at the end, after a `/`: `/a/*` is `/a` and everything below it"
        raise ValueError(message)
    _check_segments(path, segments)
    return path


def _check_segments(path: str, segments: list[str]) -> None:
    if any(segment in {".", ".."} for segment in segments) or "//" in path:
        message = "a path has no empty, `.` or `..` segments; requests are normalised before they are matched"
        raise ValueError(message)
    names = [match[1] for segment in segments if (match := _SEGMENT.fullmatch(segment))]
    if any(("{" in segment or "}" in segment) and not _SEGMENT.fullmatch(segment) for segment in segments):
        message = (
            "`{name}` stands for one whole segment, such as `/users/{id}`; use `regex:` for anything else"
        )
        raise ValueError(message)
    if len(set(names)) < len(names) or len(names) > MAX_PARAMETERS:
        message = f"parameters of a path have different names, and there are at most {MAX_PARAMETERS}"
        raise ValueError(message)


def check_host(host: str) -> str:
    """Give the host in lower case. Raises `ValueError` with what would work."""
    lower = host.lower()
    if not (_HOST.fullmatch(lower) or _ADDRESS.fullmatch(lower)):
        cure = "write `api.example.com` or `*.example.com`, without scheme, port or path"
        message = f"`{host}` is not a host: {cure}"
        raise ValueError(message)
    return lower


def host_rank(host: str) -> tuple[int, int]:
    """Give what orders hosts, higher first: exact, then wildcard by length, then any (the empty text)."""
    if not host:
        return (0, 0)
    return (1, len(host)) if host.startswith("*.") else (2, 0)


def host_covers(wider: str, narrower: str) -> bool:
    """Say whether every host that `narrower` matches is matched by `wider`; the empty text is any host."""
    if not wider or wider == narrower:
        return True
    return wider.startswith("*.") and bool(narrower) and narrower.removeprefix("*").endswith(wider[1:])
