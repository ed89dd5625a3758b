//! The pages that are different each time: the time of day, and the account of whoever asks.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE};
use hyper::{Request, Response};

/// The answer if the path is one of the dynamic ones.
pub(super) async fn answer<B>(root: &Path, request: &Request<B>) -> Option<Response<Bytes>> {
    match request.uri().path() {
        "/api/time" => time(),
        "/account" | "/account/" => account(root, request).await,
        _ => None,
    }
}

fn time() -> Option<Response<Bytes>> {
    let now = SystemTime::now();
    let milliseconds = now.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let body = serde_json::json!({ "time": httpdate::fmt_http_date(now), "unix_milliseconds": milliseconds });
    Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(body.to_string().into())
        .ok()
}

/// A page for one customer: the `customer` cookie says who, the answer is private and sets a cookie.
async fn account<B>(root: &Path, request: &Request<B>) -> Option<Response<Bytes>> {
    let cookies = request.headers().get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let customer = customer(cookies);
    let page = tokio::fs::read_to_string(root.join("account.html")).await;
    let page = page.unwrap_or_else(|_| "<!doctype html><title>Account</title><h1>Hello, {customer}</h1>\n".to_owned());
    Response::builder()
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .header(CACHE_CONTROL, "private")
        .header(SET_COOKIE, format!("customer={customer}; Path=/account; HttpOnly; SameSite=Lax"))
        .body(page.replace("{customer}", customer).into())
        .ok()
}

/// Letters and digits only, so that the name can be put into a page and a header as it is.
fn customer(cookies: &str) -> &str {
    cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix("customer="))
        .filter(|name| (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .unwrap_or("stranger")
}

#[cfg(test)]
mod tests {
    use super::customer;

    #[test]
    fn the_customer_is_a_plain_name_from_the_cookie() {
        let rows = [
            ("customer=ada", "ada"),
            ("theme=dark; customer=grace", "grace"),
            ("", "stranger"),
            ("customer=", "stranger"),
            ("customer=<script>", "stranger"),
        ];
        for (cookies, expected) in rows {
            assert_eq!(customer(cookies), expected, "{cookies}");
        }
    }
}
