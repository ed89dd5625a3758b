//! What a model is made of, as one digest: another file is another version, whatever it is called.
//!
//! The weights of an ONNX model may be in files beside it, which it names; they are as much of it as the graph. They are
//! handed to the library as they were read: it would map the files into memory, so that whoever writes over one changes
//! what a version answers, and whoever shortens one ends the process.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bodega_snapshot::Model as Settings;
use rustix::fs::{Mode, OFlags, open};

use crate::graph::Graph;

pub(crate) type Digest = [u8; 32];

/// What a model is made of.
pub(crate) struct Contents {
    pub(crate) digest: Digest,
    /// Of all its files.
    pub(crate) n_bytes: u64,
    /// Whether a run may take as long as a row says. Not told of what a runner runs.
    pub(crate) has_loops: bool,
    /// Those that must not change until it is loaded.
    files: Vec<Seen>,
}

/// A file that was read, and as what.
struct Seen {
    path: PathBuf,
    stamp: Stamp,
}

/// What tells whether a file is still as it was: its device, number, length, and when it was written to.
type Stamp = (u64, u64, u64, i64, i64);

fn stamp(about: &Metadata) -> Stamp {
    (about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}

impl Contents {
    /// What was loaded meanwhile is this only if nobody has changed it.
    pub(crate) fn check_still(&self) -> Result<(), String> {
        let is_still = |seen: &&Seen| fs::metadata(&seen.path).is_ok_and(|about| stamp(&about) == seen.stamp);
        match self.files.iter().find(|seen| !is_still(seen)) {
            None => Ok(()),
            Some(Seen { path, .. }) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                Err(format!("{name} was changed while it was loaded: load it again"))
            }
        }
    }
}

/// The digest of files, while they are read.
struct Reading {
    context: Context,
    n_bytes: u64,
    files: Vec<Seen>,
}

/// Reads a model's files. A runner's name counts too, and what it is handed: a file, all files of a folder, or nothing.
pub(crate) fn read(settings: &Settings) -> Result<Contents, String> {
    let path = Path::new(&settings.path);
    let Some(runner) = &settings.runner else { return of_graph(path) };
    let mut reading = Reading::new();
    reading.context.update(runner.as_bytes());
    if path.is_dir() {
        for file in files(path)? {
            reading.context.update(b"\0");
            reading.context.update(file.strip_prefix(path).unwrap_or(&file).as_os_str().as_encoded_bytes());
            reading.context.update(b"\0");
            reading.add_file(&file)?;
        }
    } else if !settings.path.is_empty() {
        reading.context.update(b"\0");
        reading.add_file(path)?;
    }
    let digest = reading.digest();
    // It may keep things there itself.
    Ok(Contents { digest, n_bytes: reading.n_bytes, has_loops: false, files: Vec::new() })
}

/// Reads an ONNX model, and the files that it names.
fn of_graph(path: &Path) -> Result<Contents, String> {
    let mut reading = Reading::new();
    let graph = {
        let whole = reading.whole(path, MAX_GRAPH_BYTES)?;
        reading.context.update(&whole);
        Graph::read(&whole)?
    };
    let mut digest = reading.digest();
    for location in &graph.locations {
        let added = beside(path, location).and_then(|file| reading.add_file(&file));
        added.map_err(|why| of_weights(location, &why))?;
        digest = joined(&joined(&digest, location), &reading.digest());
    }
    Ok(Contents { digest, n_bytes: reading.n_bytes, has_loops: graph.has_loops, files: reading.files })
}

/// Looks whether a file is an ONNX model and what it names beside itself is there, without loading it.
///
/// # Errors
/// Why not.
pub fn check_file(path: &Path) -> Result<(), String> {
    let graph = Graph::read(&Reading::new().whole(path, MAX_GRAPH_BYTES)?)?;
    let check = |location: &Vec<u8>| {
        let found = beside(path, location).and_then(|file| opened(&file).map(drop));
        found.map_err(|why| of_weights(location, &why))
    };
    graph.locations.iter().try_for_each(check)
}

/// A file, by the name that the graph has for it.
pub(crate) type Weights = (PathBuf, Arc<[u8]>);

/// The files that an ONNX model names.
pub(crate) fn weights(path: &Path) -> Result<Vec<Weights>, String> {
    let mut reading = Reading::new();
    let graph = Graph::read(&reading.whole(path, MAX_GRAPH_BYTES)?)?;
    let read = |location: Vec<u8>| {
        let whole = beside(path, &location).and_then(|file| reading.whole(&file, u64::MAX));
        let whole = whole.map_err(|why| of_weights(&location, &why))?;
        Ok((PathBuf::from(OsStr::from_bytes(&location)), Arc::from(whole)))
    };
    graph.locations.into_iter().map(read).collect()
}

fn of_weights(location: &[u8], why: &str) -> String {
    format!("its weights in {:?}: {why}", String::from_utf8_lossy(location))
}

/// Where a file is that a model names: in its folder, or in the one that the model is a link into.
fn beside(model: &Path, location: &[u8]) -> Result<PathBuf, String> {
    let location = Path::new(OsStr::from_bytes(location));
    let outside = || "that is not in the model's folder".to_owned();
    let is_inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if !location.components().all(is_inside) || location.file_name().is_none() {
        return Err(outside());
    }
    let folder = model.parent().unwrap_or(Path::new(""));
    let file = folder.join(location).canonicalize().map_err(|error| unreadable(&error))?;
    let model = model.canonicalize().map_err(|error| unreadable(&error))?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().map_err(|error| unreadable(&error))?;
    let may_lie_in = |folder: &Path| file.starts_with(folder);
    if may_lie_in(&folder) || model.parent().is_some_and(may_lie_in) { Ok(file) } else { Err(outside()) }
}

/// One digest of a digest and something else.
pub(crate) fn joined(digest: &Digest, other: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(digest);
    context.update(other);
    finished(context)
}

fn finished(context: Context) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

impl Reading {
    fn new() -> Self {
        Self { context: Context::new(&SHA256), n_bytes: 0, files: Vec::new() }
    }

    /// Of what was added since the last call.
    fn digest(&mut self) -> Digest {
        finished(std::mem::replace(&mut self.context, Context::new(&SHA256)))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let mut file = self.open(path)?.0;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer).map_err(|error| unreadable(&error))? {
                0 => return Ok(()),
                n_bytes => {
                    self.context.update(&buffer[..n_bytes]);
                    self.n_bytes += n_bytes as u64;
                }
            }
        }
    }

    /// All of a file, which counts in no digest.
    fn whole(&mut self, path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
        let (file, length) = self.open(path)?;
        if length > max_bytes {
            return Err(format!(
                "it has {length} bytes, and an ONNX file at most 2 GiB: keep its weights in files beside it"
            ));
        }
        let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        // As much as it said, should it be growing.
        file.take(length).read_to_end(&mut whole).map_err(|error| unreadable(&error))?;
        self.n_bytes += whole.len() as u64;
        Ok(whole)
    }

    fn open(&mut self, path: &Path) -> Result<(File, u64), String> {
        let (file, about) = opened(path)?;
        self.files.push(Seen { path: path.to_owned(), stamp: stamp(&about) });
        Ok((file, about.len()))
    }
}

/// A file and what it is. What is none (a pipe, a device) is not waited for.
fn opened(path: &Path) -> Result<(File, Metadata), String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty()).map(File::from).map_err(|error| unreadable(&error.into()))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    if about.is_dir() {
        return Err("that is a folder".to_owned());
    }
    if !about.is_file() {
        return Err("that is no regular file, but a pipe, a socket or a device".to_owned());
    }
    Ok((file, about))
}

/// The files of a folder and of those in it, in the order of their paths. What Python compiles by itself is left out.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&error))? {
            let path = entry.map_err(|error| unreadable(&error))?.path();
            // A link that leads nowhere, or round, is no contents.
            match fs::metadata(&path) {
                Ok(about) if about.is_file() => found.push(path),
                Ok(about) if about.is_dir() && !path.is_symlink() && !path.ends_with("__pycache__") => {
                    folders.push(path);
                }
                _ => {}
            }
            if found.len() + folders.len() > MAX_FILES {
                return Err(format!("it has more than {MAX_FILES} files: name the folder that has those of the model"));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    }
}

const READ_BYTES: usize = 256 * 1024;
/// Of a message of Protocol Buffers.
const MAX_GRAPH_BYTES: u64 = 2 << 30;
const MAX_FILES: usize = 10_000;
