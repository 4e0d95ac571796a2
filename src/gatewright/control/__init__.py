"""The life of a node: load, apply, reload, drain, stop."""
