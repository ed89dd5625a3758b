//! Who may do what: whoever signed with the right keys everything; everyone else may read objects of public buckets.

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

/// Buckets that may be read without a signature.
#[derive(Debug)]
pub(super) struct PublicBuckets(Vec<String>);

impl PublicBuckets {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    fn allows(&self, operation: &str, path: &S3Path) -> bool {
        let is_read = matches!(operation, "GetObject" | "HeadObject");
        is_read && path.get_bucket_name().is_some_and(|bucket| self.0.iter().any(|name| name == bucket))
    }
}

#[async_trait::async_trait]
impl S3Access for PublicBuckets {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_some() || self.allows(cx.s3_op().name(), cx.s3_path()) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "this bucket is not public, and the request is not signed"))
    }
}
