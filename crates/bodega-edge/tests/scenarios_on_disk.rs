//! The scenarios again, with everything that is stored on disk alone: whoever asks finds memory empty.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use bodega_semantics::Reason;
use bodega_store::disk::Admission;
use bodega_testkit::bench::{self, Bench, Got, MEMORY_BYTES, TestRequest};
use bodega_testkit::clock::FakeClock;
use bodega_testkit::front::{Front, NoFront, Opening, Sending};
use bodega_testkit::{scenario, scenario_files};
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

/// The machine alone, before a memory that forgets what is on disk.
struct OnDisk(TempDir);

impl Front for OnDisk {
    fn bench(&self, snapshot_json: &str) -> Bench {
        let disk = bench::disk(self.0.path(), 32 << 20, Admission::Always, &FakeClock::default());
        Bench::with_tiers(snapshot_json, MEMORY_BYTES, Some(disk))
    }

    fn n_entries(&self, bench: &Bench) -> u64 {
        let edge = &bench.worker.edge;
        let mut keys: HashSet<u128> = HashSet::new();
        edge.memory.sweep(0, usize::MAX, &mut |entry| {
            keys.insert(entry.key.0);
        });
        let mut cursor = edge.disk().map(|_| 0);
        while let (Some(place), Some(disk)) = (cursor, edge.disk()) {
            let (found, next) = disk.keys(place, 1000);
            keys.extend(found.iter().map(|key| key.0));
            cursor = next;
        }
        keys.len() as u64
    }

    fn cannot_say(&self, request: &TestRequest) -> Option<&'static str> {
        let has = |name: &str| request.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if has("range") {
            return Some("with a disk, ranges are asked for by whole slices");
        }
        has("accept-language").then_some("other variants of a URL are looked for in memory alone")
    }

    fn open<'a>(&'a mut self, bench: &'a Bench, request: &'a TestRequest, n_times: usize) -> Opening<'a> {
        let edge = &bench.worker.edge;
        assert!(edge.keep_all(Duration::from_secs(30)));
        let mut held = Vec::new();
        edge.memory.sweep(0, usize::MAX, &mut |entry| held.push(entry.clone()));
        for entry in held {
            if edge.disk().is_some_and(|disk| disk.holds(entry.key)) {
                edge.memory.remove(&entry);
            }
        }
        Box::pin(async move {
            let sendings = NoFront.open(bench, request, n_times).await;
            let alike = |sending: Sending| -> Sending {
                Box::pin(async move {
                    let got = sending.await;
                    let reason = if got.reason == Reason::FreshOnDisk { Reason::Fresh } else { got.reason };
                    Got { reason, ..got }
                })
            };
            sendings.into_iter().map(alike).collect()
        })
    }
}

fn main() -> ExitCode {
    let trials = scenario_files::all()
        .into_iter()
        .map(|(name, file)| {
            Trial::test(name, move || {
                for mode in scenario::modes(&file).map_err(Failed::from)? {
                    let mut front = OnDisk(tempfile::tempdir().unwrap());
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(scenario::run_through(&file, mode, &mut front)).map_err(Failed::from)?;
                }
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
