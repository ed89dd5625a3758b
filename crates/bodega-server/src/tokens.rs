//! Reads the files of tokens that a configuration names, before it is put in force: all of them, or it is refused.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use bodega_snapshot::{Digests, Snapshot};

/// Has each behavior know its tokens.
///
/// # Errors
/// In words, with the file, if one cannot be read or holds something else.
pub(crate) fn learn(snapshot: &Snapshot) -> Result<(), String> {
    let mut learned = Vec::new();
    for (file, knowing) in snapshot.token_files() {
        let digests = read(file).map_err(|what| format!("the tokens in {file}: {what}"))?;
        learned.push((Arc::new(digests), knowing));
    }
    for (digests, knowing) in learned {
        for tokens in knowing {
            tokens.learn(Arc::clone(&digests));
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<Digests, String> {
    let mut text = String::new();
    let file = File::open(file).map_err(|error| error.to_string())?;
    let n_bytes = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if n_bytes as u64 > MAX_FILE_BYTES {
        return Err(format!("more than {MAX_FILE_BYTES} bytes"));
    }
    Digests::parse(&text)
}

const MAX_FILE_BYTES: u64 = 16 << 20;
