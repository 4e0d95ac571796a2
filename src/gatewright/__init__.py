"""Gatewright, an API gateway: Python decides, Rust enforces.

A configuration written in Python imports its models from here (`gatewright.Gateway`, `gatewright.Route`,
...). They are loaded on first use, so that importing the package stays cheap for commands that need none of
them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewright.config.models import *  # noqa: F403 -- type checkers see the names that __getattr__ gives.

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Give a model of the configuration by its name."""
    if name.startswith("_"):
        raise AttributeError(name)
    models = import_module("gatewright.config.models")
    if name not in models.__all__:
        message = f"module 'gatewright' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(models, name)
