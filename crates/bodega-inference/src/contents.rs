//! What a model is made of, as one digest: another file is another version, whatever it is called.
//!
//! The weights of an ONNX model may be in files beside it, which it names; they are as much of it as the graph.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use bodega_snapshot::Model as Settings;
use rustix::fs::{Mode, OFlags, open};

use crate::graph::Graph;

pub(crate) type Digest = [u8; 32];

/// What a model is made of.
#[derive(Clone, Copy)]
pub(crate) struct Contents {
    pub(crate) digest: Digest,
    /// Of all its files.
    pub(crate) n_bytes: u64,
    /// Whether a run may take as long as a row says. Not told of what a runner runs.
    pub(crate) has_loops: bool,
}

/// Reads a model's files. A runner's name counts too, and what it is handed: a file, all files of a folder, or nothing.
pub(crate) fn read(settings: &Settings) -> Result<Contents, String> {
    let mut n_bytes = 0;
    let mut context = Context::new(&SHA256);
    let path = Path::new(&settings.path);
    match &settings.runner {
        None => return of_graph(path),
        Some(runner) => {
            context.update(runner.as_bytes());
            if path.is_dir() {
                for file in files(path)? {
                    context.update(b"\0");
                    context.update(file.strip_prefix(path).unwrap_or(&file).as_os_str().as_encoded_bytes());
                    context.update(b"\0");
                    n_bytes += add_file(&mut context, &file)?;
                }
            } else if !settings.path.is_empty() {
                context.update(b"\0");
                n_bytes += add_file(&mut context, path)?;
            }
        }
    }
    Ok(Contents { digest: finished(context), n_bytes, has_loops: false })
}

/// Reads an ONNX model, and the files that it names.
fn of_graph(path: &Path) -> Result<Contents, String> {
    let mut context = Context::new(&SHA256);
    let (graph, mut n_bytes) = {
        let (file, length) = opened(path)?;
        if length > MAX_GRAPH_BYTES {
            return Err(format!(
                "it has {length} bytes, and an ONNX file at most 2 GiB: keep its weights in files beside it"
            ));
        }
        let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        // As much as it said, should it be growing.
        file.take(MAX_GRAPH_BYTES).read_to_end(&mut whole).map_err(|error| unreadable(&error))?;
        context.update(&whole);
        (Graph::read(&whole)?, whole.len() as u64)
    };
    let mut digest = finished(context);
    for location in &graph.locations {
        let mut context = Context::new(&SHA256);
        let added = beside(path, location).and_then(|file| add_file(&mut context, &file));
        let name = String::from_utf8_lossy(location);
        n_bytes += added.map_err(|why| format!("its weights in {name:?}: {why}"))?;
        digest = joined(&joined(&digest, location), &finished(context));
    }
    Ok(Contents { digest, n_bytes, has_loops: graph.has_loops })
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

/// Returns its length.
fn add_file(context: &mut Context, path: &Path) -> Result<u64, String> {
    let (mut file, _) = opened(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut length = 0;
    loop {
        match file.read(&mut buffer).map_err(|error| unreadable(&error))? {
            0 => return Ok(length),
            n_bytes => {
                context.update(&buffer[..n_bytes]);
                length += n_bytes as u64;
            }
        }
    }
}

/// A file and its length. What is none (a pipe, a device) is not waited for.
fn opened(path: &Path) -> Result<(File, u64), String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty()).map(File::from).map_err(|error| unreadable(&error.into()))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    if about.is_dir() {
        return Err("that is a folder".to_owned());
    }
    if !about.is_file() {
        return Err("that is no regular file, but a pipe, a socket or a device".to_owned());
    }
    Ok((file, about.len()))
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
