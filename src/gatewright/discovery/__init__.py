"""Where the instances of services are, one source a file."""
