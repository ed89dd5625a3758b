//! Admission and eviction algorithms, one a file.
#![forbid(unsafe_code)]
