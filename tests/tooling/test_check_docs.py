"""scripts/check_docs.py sees papers that do not tell the truth."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def check_docs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, for a repository that lies in `tmp_path`."""
    spec = importlib.util.spec_from_file_location("check_docs", repository / "scripts" / "check_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "Makefile").write_text("test: build\n\ttrue\n")
    return module


def paper(place: Path, text: str) -> Path:
    path = place / "README.md"
    path.write_text(text)
    return path


def test_a_link_to_an_absent_file_is_named(check_docs: ModuleType, tmp_path: Path) -> None:
    found = list(check_docs.broken_links(paper(tmp_path, "see [this](docs/absent.md)")))
    assert found == ["README.md: link to docs/absent.md, which does not exist"]


def test_a_link_to_an_absent_heading_is_named(check_docs: ModuleType, tmp_path: Path) -> None:
    found = list(
        check_docs.broken_links(paper(tmp_path, "# Set up `it`\n[good](#set-up-it) [bad](#elsewhere)"))
    )
    assert found == ["README.md: link to #elsewhere, which README.md has no heading for"]


def test_links_to_other_sites_and_links_in_examples_are_not_judged(
    check_docs: ModuleType, tmp_path: Path
) -> None:
    text = "[site](https://example.com)\n```\n[example](absent.md)\n```\n"
    assert list(check_docs.broken_links(paper(tmp_path, text))) == []


def test_a_word_that_make_does_not_know_is_named(check_docs: ModuleType, tmp_path: Path) -> None:
    found = list(check_docs.unknown_words(paper(tmp_path, "`make test`, then `make coffee`")))
    assert found == ["README.md: `make coffee` is not in the Makefile"]


def test_a_reference_that_differs_from_what_is_generated_is_named(
    check_docs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(directory: Path) -> None:
        (directory / "docs/reference/configuration.md").write_text("new")

    monkeypatch.setattr(check_docs, "generate", generate)
    kept = tmp_path / "docs/reference/configuration.md"
    kept.parent.mkdir(parents=True)
    kept.write_text("old")
    assert [line.split(":")[0] for line in check_docs.outdated()] == ["docs/reference/configuration.md"]
    kept.write_text("new")
    assert list(check_docs.outdated()) == []
