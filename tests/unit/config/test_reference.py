"""The reference of options says what the models say."""

from pathlib import Path

import pytest

from gatewright.config import models
from gatewright.config.models.base import Section
from gatewright.config.reference import DEFAULT_PATH, reference

ROOT = Path(__file__).parents[3]
SECTIONS = [
    value
    for name in models.__all__
    if isinstance(value := getattr(models, name), type) and issubclass(value, Section)
]


def test_reference_is_up_to_date() -> None:
    written = (ROOT / DEFAULT_PATH).read_text()
    assert written == reference(), "run `python -m gatewright.config.reference`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_option_is_described(section: type[Section]) -> None:
    assert section.__doc__
    for name, info in section.model_fields.items():
        assert info.description, name
        assert f"| `{info.alias or name}` |" in reference()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_has_a_heading(section: type[Section]) -> None:
    assert f"({section.__name__})\n" in reference()
