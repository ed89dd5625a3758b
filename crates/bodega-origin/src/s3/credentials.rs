//! The keys that requests are signed with: from the environment, or from a shared-credentials file that is read again
//! when it changes. They never stand in the snapshot, in a message or in a debug print.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bodega_snapshot::Credentials as Source;
use parking_lot::Mutex;

/// Keys to sign with. Deliberately without `Debug`.
#[derive(PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) session_token: Option<String>,
}

pub(crate) enum Credentials {
    Fixed(Result<Option<Arc<Keys>>, String>),
    File(Arc<CredentialsFile>),
}

pub(crate) struct CredentialsFile {
    path: PathBuf,
    profile: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    checked_at: Option<Instant>,
    /// Of the file that `keys` were read from.
    version: Option<(SystemTime, u64)>,
    keys: Option<Arc<Keys>>,
}

impl Credentials {
    /// The environment is read here, once: it does not change.
    pub(crate) fn new(source: &Source) -> Self {
        match source {
            Source::Unsigned => Self::Fixed(Ok(None)),
            Source::Environment => Self::Fixed(from_environment().map(|keys| Some(Arc::new(keys)))),
            Source::File { path, profile } => Self::File(Arc::new(CredentialsFile {
                path: path.into(),
                profile: profile.clone(),
                state: Mutex::default(),
            })),
        }
    }

    /// The keys of this moment; `None` if requests go unsigned.
    ///
    /// # Errors
    /// In words, when there are none.
    pub(crate) async fn current(&self) -> Result<Option<Arc<Keys>>, String> {
        match self {
            Self::Fixed(keys) => keys.clone(),
            Self::File(file) => {
                if let Some(keys) = file.recent() {
                    return Ok(Some(keys));
                }
                let file = Arc::clone(file);
                // A disk may block; a serving thread may not.
                let read = tokio::task::spawn_blocking(move || file.read());
                read.await.map_err(|error| error.to_string())?.map(Some)
            }
        }
    }
}

impl CredentialsFile {
    /// What was read, if it was looked at lately; who finds it old looks, while others go on with it.
    fn recent(&self) -> Option<Arc<Keys>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let is_recent = state.checked_at.is_some_and(|checked_at| now.duration_since(checked_at) < LOOKED_AT_EVERY);
        if !is_recent {
            state.checked_at = Some(now);
            return None;
        }
        state.keys.clone()
    }

    /// Reads the file if it is another than last time. A file that cannot be read leaves the old keys in use.
    fn read(&self) -> Result<Arc<Keys>, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let version = version(&self.path).map_err(|error| named(&error));
        let state = self.state.lock();
        let kept = state.keys.clone();
        let known = state.version;
        drop(state);
        let found = version.and_then(|version| {
            if let Some(kept) = kept.as_ref().filter(|_| known == Some(version)) {
                return Ok((version, Arc::clone(kept)));
            }
            let text = std::fs::read_to_string(&self.path).map_err(|error| named(&error))?;
            let keys = parse(&text, &self.profile).map_err(|error| named(&error))?;
            Ok((version, Arc::new(keys)))
        });
        match (found, kept) {
            (Ok((version, keys)), _) => {
                let mut state = self.state.lock();
                state.version = Some(version);
                state.keys = Some(Arc::clone(&keys));
                Ok(keys)
            }
            (Err(_), Some(kept)) => Ok(kept),
            (Err(what), None) => Err(what),
        }
    }
}

fn version(path: &Path) -> std::io::Result<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len()))
}

fn from_environment() -> Result<Keys, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let needed = |name: &str| variable(name).ok_or_else(|| format!("{name} is not set"));
    checked(Keys {
        access_key: needed("AWS_ACCESS_KEY_ID")?,
        secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
    })
}

/// The section `[profile]` of a file of `name = value` lines.
fn parse(text: &str, profile: &str) -> Result<Keys, String> {
    let mut is_in_profile = false;
    let (mut access_key, mut secret_key, mut session_token) = (None, None, None);
    let mut is_found = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_in_profile = section.trim() == profile;
            is_found |= is_in_profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_in_profile) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => session_token = value,
                _ => {}
            }
        }
    }
    if !is_found {
        return Err(format!("no section [{profile}]"));
    }
    checked(Keys {
        access_key: access_key.ok_or("no aws_access_key_id in the section")?,
        secret_key: secret_key.ok_or("no aws_secret_access_key in the section")?,
        session_token,
    })
}

/// Keys go into header fields: what could end one is refused.
fn checked(keys: Keys) -> Result<Keys, String> {
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible(&keys.access_key) && keys.session_token.as_deref().is_none_or(is_visible) {
        Ok(keys)
    } else {
        Err("a key holds characters that no key has".to_owned())
    }
}

const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_section_is_read() {
        let text = "# comment\n[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n\
                    [other]\naws_access_key_id=C\naws_secret_access_key = D=\naws_session_token=E\n";
        let default = parse(text, "default").ok().unwrap();
        assert_eq!((default.access_key.as_str(), default.session_token), ("A", None));
        let other = parse(text, "other").ok().unwrap();
        assert_eq!((other.secret_key.as_str(), other.session_token.as_deref()), ("D=", Some("E")));
        assert_eq!(parse(text, "third").err().unwrap(), "no section [third]");
        assert!(parse("[default]\naws_access_key_id=A\n", "default").is_err());
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_leaves_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let text = |key: &str| format!("[default]\naws_access_key_id={key}\naws_secret_access_key=B\n");
        std::fs::write(&path, text("first")).unwrap();
        let file = CredentialsFile { path: path.clone(), profile: "default".into(), state: Mutex::default() };
        let first = file.read().ok().unwrap();
        assert_eq!(first.access_key, "first");
        assert!(Arc::ptr_eq(&first, &file.read().ok().unwrap()));
        std::fs::write(&path, text("second-key")).unwrap();
        assert_eq!(file.read().ok().unwrap().access_key, "second-key");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.read().ok().unwrap().access_key, "second-key");
        let absent = CredentialsFile { path, profile: "default".into(), state: Mutex::default() };
        assert!(absent.read().is_err());
    }
}
