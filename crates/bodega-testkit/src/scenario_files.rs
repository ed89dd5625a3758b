//! Where the scenarios lie, and what they are called.

use std::path::{Path, PathBuf};

/// The scenario files of this repository, each with its name: its path below `tests/scenarios`, without the extension.
///
/// # Panics
/// Where there are none: whoever runs none would pass without having tested anything.
#[must_use]
pub fn all() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.retain(|file| file.file_name().is_some_and(|name| name != "sections.toml"));
    assert!(!files.is_empty(), "no scenarios in {}", root.display());
    files.sort();
    let name = |file: &Path| file.strip_prefix(&root).unwrap_or(file).with_extension("").display().to_string();
    files.into_iter().map(|file| (name(&file), file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // A folder that cannot be read has none: that all of them are empty is what must not pass.
    for path in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
}
