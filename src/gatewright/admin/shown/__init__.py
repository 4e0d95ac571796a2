"""What operations answer, as models, by which `/openapi.json` describes it. Answers may have further fields
later; none is renamed, taken away, or given another type.
"""
