//! Configuration text to data with positions, for YAML 1.2 and KDL 2.
