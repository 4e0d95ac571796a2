"""`gatewright schema`: the JSON Schema of a configuration."""


def schema() -> int:
    """Print the JSON Schema of a configuration, for editors."""
    raise NotImplementedError
