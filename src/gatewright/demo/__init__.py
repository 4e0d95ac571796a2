"""The demonstration: three sample services, keys, a configuration, and requests to try."""
