//! HTTP and S3 origins: pool, retries, TLS, signing. Implements Fetch.
#![forbid(unsafe_code)]
