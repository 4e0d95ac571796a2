//! The border between Python and the data plane.
