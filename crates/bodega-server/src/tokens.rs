//! Reads the files of tokens and keys that a configuration names, before it is put in force: all of them, or it is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use bodega_edge::jwt::{Keys, Verifier};
use bodega_snapshot::{Digests, Jwt, Snapshot};

/// Has each behavior know its tokens.
///
/// # Errors
/// In words, with the file, if one cannot be read or holds something else.
pub(crate) fn learn(snapshot: &Snapshot) -> Result<(), String> {
    let mut digests = Vec::new();
    for (file, knowing) in snapshot.token_files() {
        let held = read_digests(file).map_err(|what| format!("the tokens in {file}: {what}"))?;
        digests.push((Arc::new(held), knowing));
    }
    let mut verifiers = Vec::new();
    for (file, knowing) in snapshot.key_files() {
        let made = read_verifiers(file, &knowing).map_err(|what| format!("the keys in {file}: {what}"))?;
        verifiers.extend(knowing.into_iter().zip(made));
    }
    for (digests, knowing) in digests {
        for tokens in knowing {
            tokens.learn(Arc::clone(&digests));
        }
    }
    for (jwt, verifier) in verifiers {
        jwt.learn(Box::new(verifier));
    }
    Ok(())
}

/// What is wrong with files of tokens and keys that are here, by file.
#[must_use]
pub fn wrong_token_files(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let digests = snapshot.token_files().into_keys().map(|file| (file, read_digests(file).err()));
    let keys = snapshot.key_files().into_iter().map(|(file, knowing)| (file, read_verifiers(file, &knowing).err()));
    let is_here = |file: &str| File::open(file).is_ok();
    digests.chain(keys).filter_map(|(file, wrong)| Some((file.to_owned(), wrong.filter(|_| is_here(file))?))).collect()
}

fn read_digests(file: &str) -> Result<Digests, String> {
    Digests::parse(&read(file, MAX_TOKENS_BYTES)?)
}

/// One for each that wants to know.
fn read_verifiers(file: &str, knowing: &[&Jwt]) -> Result<Vec<Verifier>, String> {
    let keys = Arc::new(Keys::parse(&read(file, MAX_KEYS_BYTES)?)?);
    knowing.iter().map(|jwt| Verifier::new(Arc::clone(&jwt.rules), Arc::clone(&keys))).collect()
}

fn read(file: &str, max_bytes: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(file).map_err(|error| error.to_string())?;
    let n_bytes = file.take(max_bytes + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if n_bytes as u64 > max_bytes {
        return Err(format!("more than {max_bytes} bytes"));
    }
    Ok(text)
}

const MAX_TOKENS_BYTES: u64 = 16 << 20;
const MAX_KEYS_BYTES: u64 = 1 << 20;
