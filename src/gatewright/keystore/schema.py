"""The tables of the store. A release appends to `MIGRATIONS` and never changes what is there.

`{sequence}` stands for a number that the database hands out, ever higher.
"""

VERSION_TABLE = "CREATE TABLE IF NOT EXISTS api_key_schema (version BIGINT NOT NULL)"
VERSION = "SELECT COALESCE(MAX(version), 0) FROM api_key_schema"

MIGRATIONS = (
    (
        """
        CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            partner TEXT NOT NULL,
            consumer TEXT,
            tier TEXT,
            scopes TEXT NOT NULL,
            networks TEXT NOT NULL,
            metadata TEXT NOT NULL,
            created_at_ms BIGINT NOT NULL,
            created_by TEXT,
            expires_at_ms BIGINT,
            revoked_at_ms BIGINT,
            revoked_by TEXT,
            revoked_why TEXT,
            last_used_ms BIGINT
        )
        """,
        "CREATE INDEX api_keys_by_partner ON api_keys (partner, id)",
        # A key that was rotated has two secrets for a while, each with a prefix of its own.
        """
        CREATE TABLE api_key_secrets (
            prefix TEXT PRIMARY KEY,
            key_id TEXT NOT NULL REFERENCES api_keys (id),
            hash TEXT NOT NULL,
            created_at_ms BIGINT NOT NULL,
            expires_at_ms BIGINT
        )
        """,
        "CREATE INDEX api_key_secrets_by_key ON api_key_secrets (key_id)",
        """
        CREATE TABLE api_key_usage (
            key_id TEXT NOT NULL,
            hour_ms BIGINT NOT NULL,
            requests BIGINT NOT NULL,
            PRIMARY KEY (key_id, hour_ms)
        )
        """,
        "CREATE INDEX api_key_usage_by_hour ON api_key_usage (hour_ms)",
        # What nodes have to forget; they ask for what came after the last number that they have seen.
        """
        CREATE TABLE api_key_changes (
            number {sequence},
            key_id TEXT NOT NULL,
            at_ms BIGINT NOT NULL
        )
        """,
    ),
    (
        "ALTER TABLE api_keys ADD COLUMN changed_at_ms BIGINT",
        "ALTER TABLE api_keys ADD COLUMN changed_by TEXT",
    ),
)
