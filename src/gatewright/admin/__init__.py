"""The admin listener: health, metrics, and the versioned API for operators."""
