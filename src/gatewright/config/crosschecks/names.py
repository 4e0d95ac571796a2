"""Names: each is given once, and those that mean something else are not taken."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import SECTION_LISTS
from gatewright.config.positions import Position
from gatewright.errors import Problem

_RESERVED = {
    "services": {"self": "`self` is the gateway's own service"},
    "tiers": {"none": "`none` means no limit"},
    "identities": {"none": "`none` means no identity"},
}


def check(view: View) -> Iterator[Problem]:
    """Find names given twice, and names that cannot be taken."""
    for section in SECTION_LISTS:
        seen: dict[str, Position] = {}
        entry = view.root.entry(section)
        for item in entry.node.items() if entry else []:
            written = item.entry("name")
            if written is None or not isinstance(written.node.value, str):
                continue
            name, position = written.node.value, written.node.position
            if name in seen:
                yield position.problem(
                    f"name `{name}` is taken by {seen[name]}; give each of the {section} its own"
                )
            reserved = _RESERVED.get(section, {}).get(name)
            if reserved:
                yield position.problem(f"{reserved}; choose another name")
            seen.setdefault(name, position)
