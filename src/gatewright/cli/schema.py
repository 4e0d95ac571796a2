"""`gatewright schema`: the JSON Schema of a configuration."""


def schema() -> int:
    """Print the JSON Schema of a configuration, for editors.

    YAML and JSON files name it in a first line such as `# yaml-language-server: $schema=gateway.schema.json`.
    """
    import json  # noqa: PLC0415 -- keeps other commands fast.

    from gatewright.config.json_schema import json_schema  # noqa: PLC0415 -- loads every model.

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
