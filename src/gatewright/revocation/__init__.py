"""Tokens that are withdrawn before they expire: kept, shared with other nodes, and told to the data plane."""
