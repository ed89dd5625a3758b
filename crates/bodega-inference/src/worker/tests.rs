use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_snapshot::{Golden, Model as Settings, Provider};
use parking_lot::Mutex;

use super::{Report, WorkerRunner, Workers, trial};
use crate::batch::{Failed, Outputs, Runner};
use crate::element::Element;
use crate::record;

/// A folder with the program that stands for the interpreter, and what was reported.
struct Bench {
    program: PathBuf,
    said: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("worker");
        std::fs::write(&program, include_str!("hostile_worker.py")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { program, said: Arc::default(), _folder: folder }
    }

    fn start(&self, how: &str, timeout: Duration) -> Result<WorkerRunner, String> {
        let said = Arc::clone(&self.said);
        let report: Report = Arc::new(move |_, what| said.lock().push(what.to_owned()));
        WorkerRunner::start(&Workers::new(self.program.to_str(), None, report), &settings(how, timeout))
    }
}

fn settings(path: &str, timeout: Duration) -> Settings {
    Settings {
        origin: "scores".to_owned(),
        path: path.to_owned(),
        name: "fraud".to_owned(),
        version: None,
        timeout,
        max_batch: 8,
        max_queue: 8,
        max_body_bytes: 1_000,
        ttl: None,
        batch_wait: Duration::ZERO,
        provider: Provider::Cpu,
        threads: 1,
        isolated: true,
        runner: None,
        ignored: Vec::new(),
        golden: Vec::new(),
        max_memory_bytes: None,
        region_only: false,
    }
}

fn row(number: i64) -> Vec<u8> {
    let mut row = Vec::new();
    record::write(&mut row, Element::Int64, &[], &number.to_le_bytes()).unwrap();
    row
}

/// What the worker of the tests answers if it is honest.
fn expected(number: i64) -> Outputs {
    let mut outputs = Vec::new();
    let data = [number.to_le_bytes(), (-number).to_le_bytes()].concat();
    record::write(&mut outputs, Element::Int64, &[2], &data).unwrap();
    Ok(outputs)
}

fn run(runner: &mut WorkerRunner, numbers: &[i64]) -> Vec<Outputs> {
    let rows: Vec<Vec<u8>> = numbers.iter().map(|number| row(*number)).collect();
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    runner.run(&rows)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn rows_go_out_and_come_back() {
    let bench = Bench::new();
    let mut runner = bench.start("honest", LONG).unwrap();
    for n_rows in [1, 2, 1_000, 3] {
        let numbers: Vec<i64> = (0..n_rows).collect();
        let answers = run(&mut runner, &numbers);
        assert_eq!(answers, numbers.iter().map(|number| expected(*number)).collect::<Vec<_>>());
    }
}

#[test]
fn what_does_not_get_ready_says_why() {
    for (how, why) in [
        ("ends", "ended by itself with status 3"),
        ("crashes", "killed by SIGSEGV"),
        ("prattles", "it says what no worker says"),
        ("refuses", "it is no model"),
        ("says nothing", "missing field"),
    ] {
        let bench = Bench::new();
        let begun = Instant::now();
        let failed = bench.start(how, LONG).err().unwrap();
        assert!(failed.contains(why), "{how}: {failed}");
        assert!(begun.elapsed() < LONG, "{how}");
        let said = bench.said.lock().join("\n");
        assert_eq!(said.contains("model fraud: oh no"), how == "crashes", "{said}");
    }
    let nobody = Workers::new(Some("/nowhere/python"), None, Arc::new(|_, _| ()));
    let failed = WorkerRunner::start(&nobody, &settings("", LONG)).err().unwrap();
    assert!(failed.contains("/nowhere/python"), "{failed}");
}

#[test]
fn what_a_worker_says_is_not_believed() {
    for how in [
        "another element",
        "another shape",
        "more axes",
        "vast axes",
        "fewer bytes",
        "more bytes",
        "vast bytes",
        "beyond the end",
        "beyond numbers",
        "among inputs",
        "no outputs",
    ] {
        let bench = Bench::new();
        let mut runner = bench.start(how, LONG).unwrap();
        // Each row is tried alone, and said of each.
        for answer in run(&mut runner, &[1, 2]) {
            let Err(Failed::Said(what)) = answer else { panic!("{how}: {answer:?}") };
            assert!(what.contains("output"), "{how}: {what}");
        }
        assert_eq!(runner.watch().n_restarts(), 0, "{how}");
    }
}

#[test]
fn who_speaks_of_something_else_is_ended() {
    for (how, timeout, why) in [
        ("other rows", LONG, "other rows"),
        ("another run", LONG, "what no worker says"),
        ("an element that there is not", LONG, "other rows"),
        ("answers half", LONG, "ended by itself"),
        ("answers garbage", LONG, "what no worker says"),
        ("dies", LONG, "killed by SIGKILL"),
        ("hangs", Duration::from_millis(300), "did not answer within 0.3 s"),
    ] {
        let bench = Bench::new();
        let mut runner = bench.start(how, timeout).unwrap();
        for answer in run(&mut runner, &[1, 2]) {
            let Err(Failed::Gone(what)) = answer else { panic!("{how}: {answer:?}") };
            assert!(what.contains(why), "{how}: {what}");
        }
        // Until it runs again rows are not waited for.
        let next = run(&mut runner, &[3]);
        assert!(matches!(&next[..], [Err(Failed::Gone(_))]), "{how}: {next:?}");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_no_answer_to_the_next_row() {
    let bench = Bench::new();
    let mut runner = bench.start("answers twice", LONG).unwrap();
    // The second answer may come with the first, or later: what is given out is right in either case.
    for number in 1..10 {
        for answer in run(&mut runner, &[number]) {
            assert!(answer == expected(number) || matches!(answer, Err(Failed::Gone(_))), "{answer:?}");
        }
    }
}

#[test]
fn a_row_that_fails_takes_no_other_with_it() {
    let bench = Bench::new();
    let mut runner = bench.start("fails for 13", LONG).unwrap();
    let answers = run(&mut runner, &[12, 13, 14]);
    assert_eq!(answers, [expected(12), Err(Failed::Said("not 13".to_owned())), expected(14)]);
}

#[test]
fn it_is_started_again_and_counted() {
    let bench = Bench::new();
    let mut runner = bench.start("dies of 13", LONG).unwrap();
    for n_restarts in 1..=2 {
        assert!(matches!(run(&mut runner, &[13])[..], [Err(Failed::Gone(_))]));
        let deadline = Instant::now() + LONG;
        while run(&mut runner, &[7]) != [expected(7)] {
            assert!(Instant::now() < deadline, "it does not run again");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        assert_eq!(runner.watch().n_restarts(), n_restarts);
    }
    let said = bench.said.lock().join("\n");
    assert!(said.contains("model fraud: killed by SIGKILL; started again in 0."), "{said}");
    assert!(said.contains("model fraud: it runs again"), "{said}");
}

#[test]
fn it_has_ended_when_it_was_dropped() {
    for how in ["honest", "stays"] {
        let bench = Bench::new();
        let runner = bench.start(how, LONG).unwrap();
        let pid = runner.watch().pid().unwrap();
        let process = Path::new("/proc").join(pid.to_string());
        assert!(process.exists());
        drop(runner);
        assert!(!process.exists(), "{how}");
    }
}

#[test]
fn a_trial_shows_what_a_model_does_before_it_does_it_to_the_edge() {
    for (how, why) in [
        ("honest", ""),
        // What a model has against zeros is its own matter.
        ("another shape", ""),
        ("ends", "on trial: ended by itself with status 3"),
        ("crashes", "on trial: killed by SIGSEGV"),
        ("refuses", "on trial: it is no model"),
        ("dies", "on trial, with a row of zeros: killed by SIGKILL"),
        ("hangs", "on trial, with a row of zeros: it did not answer within 1 s"),
    ] {
        let bench = Bench::new();
        let timeout = if how == "hangs" { Duration::from_secs(1) } else { LONG };
        let workers = Workers::new(bench.program.to_str(), None, Arc::new(|_, _| ()));
        match trial(&workers, &settings(how, timeout)) {
            Ok(shown) => {
                assert_eq!(why, "", "{how}");
                assert!(shown.peak_memory_bytes.unwrap() > 1 << 20, "{shown:?}");
                assert!(shown.took < LONG, "{shown:?}");
            }
            Err(message) => assert_eq!(message, why, "{how}"),
        }
    }
    let golden = |features: &str, prediction: &str| Golden {
        features_json: features.to_owned(),
        prediction_json: Some(prediction.to_owned()),
        tolerance: 0.0,
    };
    for (how, golden, why) in [
        ("honest", golden("3", "[3, -3]"), ""),
        ("honest", golden("3", "[3, 3]"), "on trial: golden[0]: "),
        ("dies of 13", golden("13", "[13, -13]"), "killed by SIGKILL"),
    ] {
        let bench = Bench::new();
        let workers = Workers::new(bench.program.to_str(), None, Arc::new(|_, _| ()));
        let settings = Settings { golden: vec![golden], ..settings(how, LONG) };
        let message = trial(&workers, &settings).err().unwrap_or_default();
        assert!(message.contains(why) && message.is_empty() == why.is_empty(), "{how}: {message}");
    }
}
