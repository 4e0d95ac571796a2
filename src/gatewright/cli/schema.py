"""`gatewright schema`: the JSON Schema of a configuration, or of a record."""

from typing import Annotated

from cyclopts import Parameter


def schema(
    *, records: Annotated[bool, Parameter(help="Of a decision record instead.", negative=())] = False
) -> int:
    """Print the JSON Schema of a configuration, for editors, or of a decision record, for whoever reads them.

    YAML and JSON files name it in a first line such as `# yaml-language-server: $schema=gateway.schema.json`.
    """
    import json  # noqa: PLC0415 -- keeps other commands fast.

    if records:
        from gatewright.records.schema import record_schema  # noqa: PLC0415 -- likewise.

        print(json.dumps(record_schema(), indent=2))
        return 0
    from gatewright.config.json_schema import json_schema  # noqa: PLC0415 -- loads every model.

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
