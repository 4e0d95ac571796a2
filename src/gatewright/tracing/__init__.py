"""Spans: made of decision records, off the path of requests, and sent to a collector by OTLP."""
