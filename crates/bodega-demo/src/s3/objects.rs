//! The objects in the directory. Listing, writing and deleting are `s3s-fs`; reading is done here, because `s3s-fs`
//! ignores conditional requests, and hashes an object that it has not received itself anew for every read.
//! An object that was put into the directory as a file has the media type of its name.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use s3s::crypto::{Checksum, Md5};
#[allow(clippy::wildcard_imports, reason = "the names are inputs and outputs of the operations below, two each")]
use s3s::dto::*;
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use crate::content_type::content_type;
use crate::file::FileBody;

/// A directory of buckets.
#[derive(Debug)]
pub(super) struct Objects {
    files: FileSystem,
    root: PathBuf,
    hashes: Arc<Hashes>,
}

type Hashes = Mutex<HashMap<PathBuf, Hash>>;

/// The MD5 of a file as it was then.
#[derive(Debug)]
struct Hash {
    length: u64,
    modified: SystemTime,
    md5: String,
}

impl Objects {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let files = FileSystem::new(&root).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let hashes = Arc::new(Hashes::default());
        // Hashing a model file of 100 MB takes long enough to be taken for distance by whoever measures the first read.
        let (ahead, known) = (root.clone(), hashes.clone());
        std::thread::Builder::new().name("demo-s3-hash".to_owned()).spawn(move || hash_ahead(&ahead, &known))?;
        Ok(Self { files, root, hashes })
    }

    /// The file of an object; never one outside its bucket, whatever the key.
    fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let stays = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !stays(bucket) || !stays(key) {
            return Err(s3_error!(NoSuchKey));
        }
        Ok(self.root.join(bucket).join(key))
    }

    /// What a HEAD request says: of an uploaded object what the upload said, of a file what can be seen.
    async fn describe(&self, bucket: &str, key: &str, input: S3Request<HeadObjectInput>) -> S3Result<HeadObjectOutput> {
        let path = self.path(bucket, key)?;
        let metadata = tokio::fs::metadata(&path).await.ok().filter(Metadata::is_file);
        let Some(metadata) = metadata else {
            let has_bucket = self.root.join(bucket).is_dir();
            return Err(if has_bucket { s3_error!(NoSuchKey) } else { s3_error!(NoSuchBucket) });
        };
        if self.was_uploaded(bucket, key) {
            return Ok(self.files.head_object(input).await?.output);
        }
        let modified = metadata.modified().map_err(s3s::S3Error::internal_error)?;
        let md5 = self.md5(path, metadata.len(), modified).await.map_err(s3s::S3Error::internal_error)?;
        Ok(HeadObjectOutput {
            content_length: i64::try_from(metadata.len()).ok(),
            content_type: Some(content_type(key).to_owned()),
            e_tag: Some(ETag::Strong(md5)),
            last_modified: Some(modified.into()),
            ..HeadObjectOutput::default()
        })
    }

    /// `s3s-fs` 0.14 keeps what it knows of an upload in this file beside the buckets; the version is pinned.
    fn was_uploaded(&self, bucket: &str, key: &str) -> bool {
        let (bucket, key) = (URL_SAFE_NO_PAD.encode(bucket), URL_SAFE_NO_PAD.encode(key));
        self.root.join(format!(".bucket-{bucket}.object-{key}.internal.json")).exists()
    }

    async fn md5(&self, path: PathBuf, length: u64, modified: SystemTime) -> io::Result<String> {
        if let Some(hash) = self.hashes.lock().get(&path)
            && (hash.length, hash.modified) == (length, modified)
        {
            return Ok(hash.md5.clone());
        }
        let hashes = self.hashes.clone();
        tokio::task::spawn_blocking(move || {
            let md5 = md5_of(&path)?;
            hashes.lock().insert(path, Hash { length, modified, md5: md5.clone() });
            Ok(md5)
        })
        .await
        .map_err(io::Error::other)?
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, .. } = request.input.clone();
        let conditions = Conditions {
            if_match: request.input.if_match.clone(),
            if_none_match: request.input.if_none_match.clone(),
            if_modified_since: request.input.if_modified_since.clone(),
            if_unmodified_since: request.input.if_unmodified_since.clone(),
        };
        let head_input = HeadObjectInput { bucket: bucket.clone(), key: key.clone(), ..HeadObjectInput::default() };
        let head = self.describe(&bucket, &key, request.map_input(|_| head_input)).await?;
        conditions.check(&head)?;
        let length = head.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
        let wanted = range.map(|range| range.check(length)).transpose()?;
        let (start, end) = wanted.as_ref().map_or((0, length), |range| (range.start, range.end));
        let body = FileBody::open(&self.path(&bucket, &key)?, start, end - start)
            .await
            .map_err(|error| s3_error!(error, NoSuchKey))?;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::from(Body::http_body(body))),
            cache_control: head.cache_control,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            content_length: i64::try_from(end - start).ok(),
            content_range: wanted.map(|range| format!("bytes {}-{}/{length}", range.start, range.end - 1)),
            content_type: head.content_type,
            e_tag: head.e_tag,
            expires: head.expires,
            last_modified: head.last_modified,
            metadata: head.metadata,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let conditions = Conditions {
            if_match: request.input.if_match.clone(),
            if_none_match: request.input.if_none_match.clone(),
            if_modified_since: request.input.if_modified_since.clone(),
            if_unmodified_since: request.input.if_unmodified_since.clone(),
        };
        let mut head = self.describe(&bucket, &key, request).await?;
        conditions.check(&head)?;
        head.accept_ranges = Some("bytes".to_owned());
        Ok(S3Response::new(head))
    }

    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.get_bucket_location(request).await
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.files.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.path(&request.input.bucket, &request.input.key)?;
        self.files.put_object(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.path(&request.input.bucket, &request.input.key)?;
        self.files.delete_object(request).await
    }
}

/// The conditions of a read: RFC 9110 section 13.2.2.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    fn check(self, head: &HeadObjectOutput) -> S3Result<()> {
        let matches = |condition: &ETagCondition| match (condition, &head.e_tag) {
            (ETagCondition::Any, _) => true,
            (ETagCondition::ETag(asked), Some(tag)) => asked.weak_cmp(tag),
            (ETagCondition::ETag(_), None) => false,
        };
        let changed_after =
            |time: &Timestamp| head.last_modified.as_ref().is_some_and(|modified| modified_after(modified, time));
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(time)) => !changed_after(time),
            (None, None) => true,
        };
        if !holds {
            return Err(s3_error!(PreconditionFailed));
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(time)) => !changed_after(time),
            (None, None) => false,
        };
        if unchanged { Err(not_modified(head)) } else { Ok(()) }
    }
}

/// HTTP dates have whole seconds, file systems have more.
fn modified_after(modified: &Timestamp, time: &Timestamp) -> bool {
    let seconds = |timestamp: &Timestamp| {
        let mut text = Vec::new();
        timestamp.format(TimestampFormat::HttpDate, &mut text).ok()?;
        httpdate::parse_http_date(std::str::from_utf8(&text).ok()?).ok()
    };
    seconds(modified) > seconds(time)
}

/// A 304 repeats what a cache updates its copy with: RFC 9110 section 15.4.5.
fn not_modified(head: &HeadObjectOutput) -> s3s::S3Error {
    use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
    let mut headers = HeaderMap::new();
    if let Some(tag) = head.e_tag.as_ref().and_then(|tag| tag.to_http_header().ok()) {
        headers.insert(ETAG, tag);
    }
    let mut date = Vec::new();
    if let Some(modified) = &head.last_modified
        && modified.format(TimestampFormat::HttpDate, &mut date).is_ok()
        && let Ok(date) = HeaderValue::from_bytes(&date)
    {
        headers.insert(LAST_MODIFIED, date);
    }
    if let Some(said) = head.cache_control.as_deref().and_then(|said| HeaderValue::from_str(said).ok()) {
        headers.insert(CACHE_CONTROL, said);
    }
    let mut error = s3_error!(NotModified);
    error.set_headers(headers);
    error
}

/// Hashes what is in the directory now; what cannot be read is left to whoever asks for it.
fn hash_ahead(directory: &Path, hashes: &Hashes) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            hash_ahead(&path, hashes);
        } else if let Ok(metadata) = path.metadata()
            && let Ok(modified) = metadata.modified()
            && let Ok(md5) = md5_of(&path)
        {
            hashes.lock().insert(path, Hash { length: metadata.len(), modified, md5 });
        }
    }
}

fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Md5::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let n_read = file.read(&mut piece)?;
        if n_read == 0 {
            break;
        }
        hash.update(piece.get(..n_read).unwrap_or_default());
    }
    let digest: [u8; 16] = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
