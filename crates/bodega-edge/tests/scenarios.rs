//! Every file in the folders of `tests/scenarios` is one test, or one in each of its modes, named by its path there.
//! `docs/reference/scenarios.md` explains the form of the files.

use std::process::ExitCode;

use bodega_testkit::{scenario, scenario_files};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let trials = scenario_files::all()
        .into_iter()
        .flat_map(|(name, file)| {
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
