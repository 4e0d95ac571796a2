"""What proves who calls: key sets fetched from issuers, API-key files, development tokens."""
