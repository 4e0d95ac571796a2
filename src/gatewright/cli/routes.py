"""`gatewright routes`: which requests go where."""


def routes() -> int:
    """Print which requests go where, for editors."""
    raise NotImplementedError
