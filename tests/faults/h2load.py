"""What h2load has noted of requests."""

from collections.abc import Iterator
from pathlib import Path


def requests_in(log: Path) -> Iterator[tuple[str, int]]:
    """Of each request in a `--log-file` its status, and the microseconds that it took."""
    for line in log.read_text().splitlines():
        _, status, microseconds = line.split("\t")
        yield status, int(microseconds)


def all_good(log: Path) -> list[int]:
    """The microseconds of each request. Raises `AssertionError` where one was not answered by 200."""
    requests = list(requests_in(log))
    if wrong := {status for status, _ in requests if status != "200"}:
        raise AssertionError(f"answers with {wrong}")
    return [microseconds for _, microseconds in requests]
