"""Configuration: files to data with positions, to models, to cross-checks, to the snapshot that Rust compiles."""
