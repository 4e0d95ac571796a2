"""The store of API keys: databases, look-ups for the data plane, revocation, usage."""
