//! From the path a client asked for to the path of the object.

use bodega_snapshot::Endpoint;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::Bucket;

impl Bucket {
    /// Where the bucket is reached, `store` being where all are: it may be named in the host.
    pub(crate) fn endpoint(&self, store: &Endpoint) -> Endpoint {
        if self.path_style {
            return store.clone();
        }
        let named = |rest: &str| format!("{}.{rest}", self.name);
        Endpoint { host: named(&store.host), authority: named(&store.authority), ..*store }
    }
}

/// The path of the object, encoded as it is signed and sent; `None` for a path that can name none.
pub(crate) fn path(bucket: &Bucket, path_and_query: &str) -> Option<String> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let mut key = bucket.prefix.clone().into_bytes();
    if !key.is_empty() && !key.ends_with(b"/") {
        key.push(b'/');
    }
    // Decoded and encoded anew, so that what is signed is what is sent, whatever form the client chose.
    let asked: Vec<u8> = percent_decode_str(path.strip_prefix('/')?).collect();
    key.extend_from_slice(&asked);
    if asked.is_empty() || asked.ends_with(b"/") {
        key.extend_from_slice(bucket.index_document.as_deref().unwrap_or_default().as_bytes());
    }
    // The bucket itself would be a listing. Some servers keep objects as files: dot segments, however they were
    // encoded, must not lead out of the prefix.
    if key.is_empty() || key.contains(&0) || key.split(|&byte| byte == b'/').any(|part| part == b"." || part == b"..") {
        return None;
    }
    let key = percent_encode(&key, ENCODED);
    Some(if bucket.path_style { format!("/{}/{key}", bucket.name) } else { format!("/{key}") })
}

/// All but RFC 3986's unreserved characters and the slash: `UriEncode` of Signature Version 4 for object keys.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(prefix: &str, path_style: bool, index_document: Option<&str>) -> Bucket {
        Bucket {
            name: "shop".into(),
            prefix: prefix.into(),
            path_style,
            missing_as_404: true,
            index_document: index_document.map(str::to_owned),
        }
    }

    #[test]
    fn paths_become_keys() {
        let cases = [
            ("/images/a.webp", Some("/shop/images/a.webp")),
            ("/a?list-type=2", Some("/shop/a")),
            ("/a%20b+c", Some("/shop/a%20b%2Bc")),
            ("/%C3%A4", Some("/shop/%C3%A4")),
            ("/%61", Some("/shop/a")),
            ("/a%2Fb", Some("/shop/a/b")),
            ("/a//b", Some("/shop/a//b")),
            ("/100%", Some("/shop/100%25")),
            ("/dir/", Some("/shop/dir/")),
            ("/", None),
            ("*", None),
            ("/%2e%2e/secret", None),
            ("/a/%2E%2E%2Fsecret", None),
            ("/a/./b", None),
            ("/a%00", None),
        ];
        for (asked, expected) in cases {
            assert_eq!(path(&bucket("", true, None), asked).as_deref(), expected, "{asked}");
        }
    }

    #[test]
    fn a_bucket_is_named_in_the_path_or_in_the_host() {
        let (store, _) = Endpoint::parse("https://s3.example.com:8443").unwrap();
        assert_eq!(bucket("", true, None).endpoint(&store), store);
        let (named, _) = Endpoint::parse("https://shop.s3.example.com:8443").unwrap();
        assert_eq!(bucket("", false, None).endpoint(&store), named);
    }

    #[test]
    fn prefix_index_and_style_have_their_place() {
        assert_eq!(path(&bucket("site/", false, Some("index.html")), "/").as_deref(), Some("/site/index.html"));
        assert_eq!(path(&bucket("site/", true, Some("index.html")), "/a/").as_deref(), Some("/shop/site/a/index.html"));
        assert_eq!(path(&bucket("site", true, None), "/a").as_deref(), Some("/shop/site/a"));
        assert_eq!(path(&bucket("", false, Some("index.html")), "/a").as_deref(), Some("/a"));
    }
}
