"""Decision records after they left the data plane: the worker, sinks, queries, `explain`."""
