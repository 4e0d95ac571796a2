"""What the gateway itself sends and asks over HTTP, beside the requests that pass through it."""
