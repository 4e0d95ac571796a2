"""`gatewright check`: everything that is wrong with a configuration."""


def check() -> int:
    """Print everything that is wrong with a configuration, for editors."""
    raise NotImplementedError
