"""Every exception that Gatewright raises on purpose.

    GatewrightError
    ├── ConfigError       a configuration is wrong; carries every problem with its position
    └── EngineError       the data plane refused
        ├── SnapshotError     a snapshot does not compile
        └── ListenError       a listener's address cannot be had
"""


class GatewrightError(Exception):
    """The root of the tree."""


class EngineError(GatewrightError):
    """The data plane refused what it was asked."""


class SnapshotError(EngineError):
    """A snapshot does not compile; the live one stays."""


class ListenError(EngineError):
    """A listener's address is in use or not ours; the live listeners stay."""
