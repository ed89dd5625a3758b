# Varnish for hits and fills: the built-in logic, without what it does for browsers' sake.
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "@ORIGIN_PORT@";
    .first_byte_timeout = 60s;
}

sub vcl_recv {
    if (req.method == "GET") {
        return (hash);
    }
}

sub vcl_backend_response {
    set beresp.grace = 0s;
    set beresp.keep = 0s;
}
