//! How long a request waits for the disk: not long. A disk that has become slow must not be slower than no disk.

use std::time::Duration;

use tokio::sync::oneshot;

/// The longest that a request waits for one read; then it goes on as if nothing were there.
const MOST: Duration = Duration::from_secs(1);

/// What a reading thread sends, if it comes in time; else `give_up` tells the disk.
pub(crate) async fn in_time<T>(read: oneshot::Receiver<T>, give_up: impl FnOnce()) -> Option<T> {
    if let Ok(read) = tokio::time::timeout(MOST, read).await {
        return read.ok();
    }
    give_up();
    None
}
