//! Listeners, the HTTP/1 front, admin, access log; joins machine and origins.
