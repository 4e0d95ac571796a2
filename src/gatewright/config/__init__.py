"""Configuration: files to data with positions, to models, to cross-checks, to the snapshot that Rust
compiles.

`load` reads and checks, `compile` makes the snapshot; everything else here serves these two.
"""

from gatewright.config.compile import compile
from gatewright.config.key_material import KeyUrl
from gatewright.config.loading import Loaded, load
from gatewright.errors import ConfigError, Problem

__all__ = ["ConfigError", "KeyUrl", "Loaded", "Problem", "compile", "load"]
