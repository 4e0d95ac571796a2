"""What cross-checks look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gatewright.config.models import Gateway, Route
from gatewright.config.positions import Node, Position


@dataclass(frozen=True, slots=True)
class View:
    """A configuration whose parts each have the right shape.

    `names` are all that were written, by section, those of broken elements included. `complete` is false
    where parts of the configuration are left out because they have problems of their own: what is missing
    then proves nothing.
    """

    gateway: Gateway
    root: Node
    names: Mapping[str, Sequence[str]]
    key_tiers: tuple[tuple[str, Position], ...]
    complete: bool

    def at(self, *location: str | int) -> Position:
        """Give the place of a value, or of the nearest part around it."""
        return self.root.find(location)

    def key_at(self, *location: str | int) -> Position:
        """Give the place of the key rather than of its value."""
        return self.root.find_key(location)

    def routes(self) -> Sequence[tuple[int, Route]]:
        """Give the routes with their numbers."""
        return list(enumerate(self.gateway.routes))
