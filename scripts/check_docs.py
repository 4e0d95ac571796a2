"""Checks that the papers tell the truth: links lead somewhere, `make` words exist, references are up to date.

`--write` makes the generated references anew instead of checking them.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Run as `python -m MODULE` in the root; each writes below docs/reference.
GENERATORS = ["gatewright.config.reference", "gatewright.cli.reference", "gatewright.records.schema"]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
MAKE_WORD = re.compile(r"`make ([a-z0-9-]+)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
REFERENCES = Path("docs/reference")


def papers() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a paper."""
    titles = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def broken_links(paper: Path) -> Iterator[str]:
    for link in LINK.findall(FENCE.sub("", paper.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (paper.parent / name).resolve() if name else paper
        if not target.exists():
            yield f"{paper.relative_to(ROOT)}: link to {name}, which does not exist"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
            yield f"{paper.relative_to(ROOT)}: link to #{anchor}, which {target.name} has no heading for"


def unknown_words(paper: Path) -> Iterator[str]:
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for word in sorted(set(MAKE_WORD.findall(paper.read_text())) - known):
        yield f"{paper.relative_to(ROOT)}: `make {word}` is not in the Makefile"


def is_installed(module: str) -> bool:
    """A part of the house that is not built yet has no reference either."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def generate(directory: Path) -> None:
    for name in filter(is_installed, GENERATORS):
        subprocess.run([sys.executable, "-m", name], cwd=directory, check=True)


def outdated() -> Iterator[str]:
    """Generates into a copy and compares, so that a check changes nothing."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / REFERENCES).mkdir(parents=True)
        generate(Path(place))
        for made in sorted((Path(place) / REFERENCES).rglob("*.*")):
            name = made.relative_to(place)
            kept = ROOT / name
            if not kept.exists() or kept.read_bytes() != made.read_bytes():
                yield f"{name}: differs from what the models say; `make docs` writes it again"


def main() -> int:
    if "--write" in sys.argv[1:]:
        (ROOT / REFERENCES).mkdir(parents=True, exist_ok=True)
        generate(ROOT)
        return 0
    problems = [problem for paper in papers() for problem in (*broken_links(paper), *unknown_words(paper))]
    problems += outdated()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
