//! Every file in the folders of `tests/scenarios` is one test, or one in each of its modes, named by its path there.
//! `docs/reference/scenarios.md` explains the form of the files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bodega_testkit::scenario;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.retain(|file| file.file_name().is_some_and(|name| name != "sections.toml"));
    // An empty folder would pass without having tested anything.
    assert!(!files.is_empty(), "no scenarios in {}", root.display());
    files.sort();
    let trials = files
        .into_iter()
        .flat_map(|file| {
            let name = file.strip_prefix(&root).unwrap_or(&file).with_extension("").display().to_string();
            // A file that cannot be read is a test that fails, and says so itself.
            let modes = scenario::modes(&file).unwrap_or_else(|_| vec![None]);
            modes.into_iter().map(move |mode| {
                let name = mode.map_or_else(|| name.clone(), |mode| format!("{name} ({})", mode.name()));
                let file = file.clone();
                Trial::test(name, move || scenario::run(&file, mode).map_err(Failed::from))
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for found in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = found.expect("a folder that can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
}
