//! The compiled configuration the data plane executes.
#![forbid(unsafe_code)]
