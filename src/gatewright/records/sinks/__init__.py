"""The places where records go, one a file."""
