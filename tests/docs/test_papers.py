"""The papers hold together: links resolve, generated pages are new, files and tests they name exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

NAMED_PATH = re.compile(
    r"`((?:crates|src|tests|bench|scripts|examples|docs)/[\w./-]+?\.(?:rs|py|pyi|md|sh|yaml|kdl))(?:::(\w+))?`"
)


def test_links_resolve_and_generated_pages_are_up_to_date(repository: Path) -> None:
    script = repository / "scripts" / "check_docs.py"
    outcome = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert outcome.stderr == ""
    assert outcome.returncode == 0


def test_files_and_tests_that_the_papers_name_exist(repository: Path, papers: list[Path]) -> None:
    absent, found = [], 0
    for paper in papers:
        for name, test in NAMED_PATH.findall(paper.read_text(encoding="utf-8")):
            # CONTRIBUTING speaks of files that are still to be written.
            if paper.name == "CONTRIBUTING.md" and re.search("NAME|quota", name):
                continue
            found += 1
            file = repository / name
            if not file.is_file() or (test and not re.search(rf"\b{test}\b", file.read_text())):
                absent.append(f"{paper.name}: {name}{'::' + test if test else ''}")
    assert absent == []
    assert found > 0


@pytest.mark.parametrize("folder", ["crates/dataplane/src", "src/gatewright"])
def test_every_folder_of_the_code_is_on_the_map(repository: Path, folder: str) -> None:
    page = (repository / "ARCHITECTURE.md").read_text(encoding="utf-8")
    root = repository / folder
    names = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if path.is_dir() and path.name not in {"__pycache__", "tests"}
    ]
    top = [name for name in names if "/" not in name]
    assert len(top) > 5
    assert [name for name in top if f"`{name}/`" not in page and f"`{name}.rs`" not in page] == []
