use std::sync::mpsc;
use std::thread::ThreadId;

use bodega_edge::predict::Reply;
use tokio::sync::oneshot::Receiver;
use tokio::task::yield_now;

use super::*;

/// Gives rows back, once it is let; tells how many came at once.
struct Gated {
    go: mpsc::Receiver<()>,
    sizes: mpsc::Sender<usize>,
}

impl Runner for Gated {
    fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
        self.sizes.send(rows.len()).unwrap();
        self.go.recv().unwrap();
        rows.iter().map(|row| Ok(row.to_vec())).collect()
    }
}

/// Gives rows back at once, and tells how many came and on which thread.
struct Quick(mpsc::Sender<(usize, ThreadId)>);

impl Runner for Quick {
    fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
        // Who asked may have seen enough.
        let _ = self.0.send((rows.len(), std::thread::current().id()));
        rows.iter().map(|row| Ok(row.to_vec())).collect()
    }

    fn is_local(&self) -> bool {
        true
    }
}

const LONG: Duration = Duration::from_secs(3600);

fn limits(max_batch: usize, max_queue: usize) -> Limits {
    Limits { max_batch, max_queue, wait: Duration::ZERO, timeout: LONG }
}

fn gated(limits: Limits) -> (Batcher, mpsc::Sender<()>, mpsc::Receiver<usize>) {
    let ((let_go, go), (sizes, size)) = (mpsc::channel(), mpsc::channel());
    (Batcher::start("test", Gated { go, sizes }, limits).unwrap(), let_go, size)
}

fn push(batcher: &Batcher, number: u8) -> Receiver<Predicted> {
    let (reply, receiver) = Reply::channel();
    batcher.push(RowBytes::of(&[number]), reply);
    receiver
}

/// What a row came to, in words.
async fn came(receiver: Receiver<Predicted>) -> String {
    match receiver.await {
        Ok(Predicted::Outputs(outputs)) => format!("{outputs:?}"),
        Ok(Predicted::Failed(what)) => what,
        Ok(Predicted::Unanswered(error)) => error.message,
        Err(_) => "nothing".to_owned(),
    }
}

/// Lets the turn that was begun go on; then waits for the next run, on a thread that may be kept.
async fn next_run(sizes: &mpsc::Receiver<usize>) -> usize {
    loop {
        match sizes.try_recv() {
            Ok(size) => return size,
            Err(mpsc::TryRecvError::Empty) => yield_now().await,
            Err(mpsc::TryRecvError::Disconnected) => panic!("the thread has ended"),
        }
    }
}

#[tokio::test]
async fn what_is_queued_while_a_run_lasts_is_the_next_batch() {
    let (batcher, let_go, sizes) = gated(limits(3, 100));
    let first = push(&batcher, 0);
    assert_eq!(next_run(&sizes).await, 1, "a row that comes alone runs at once");
    let others: Vec<_> = (1..=5).map(|number| push(&batcher, number)).collect();
    // The turn hands them over before the run ends.
    while batcher.0.state.lock().jobs.len() < 5 {
        yield_now().await;
    }
    for _ in 0..3 {
        let_go.send(()).unwrap();
    }
    assert_eq!((next_run(&sizes).await, next_run(&sizes).await), (3, 2));
    assert_eq!(came(first).await, "[0]");
    for (number, other) in (1..=5).zip(others) {
        assert_eq!(came(other).await, format!("[{number}]"));
    }
    assert_eq!((batcher.counts().n_runs(), batcher.counts().n_rows()), (3, 6));
    assert_eq!(batcher.0.n_waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_asked_in_one_turn_is_one_batch_and_runs_here_once_it_is_cheap() {
    let (ran, runs) = mpsc::channel();
    let batcher = Batcher::start("test", Quick(ran), limits(1_000, 1_000)).unwrap();
    let here = std::thread::current().id();
    // The system may have other things to do, so that a run seems long; but not time after time.
    loop {
        let rows: Vec<_> = (0..10).map(|number| push(&batcher, number)).collect();
        for (number, row) in (0..10).zip(rows) {
            assert_eq!(came(row).await, format!("[{number}]"));
        }
        let mut n_rows = 0;
        while n_rows < 10 {
            let (size, thread) = runs.recv().unwrap();
            n_rows += size;
            if size == 10 && thread == here {
                return;
            }
        }
    }
}

#[tokio::test]
async fn what_is_much_longer_than_what_was_cheap_does_not_run_here() {
    let (ran, runs) = mpsc::channel();
    let batcher = Batcher::start("test", Quick(ran), limits(8, 8)).unwrap();
    let here = std::thread::current().id();
    let ask = async |n_bytes: usize| {
        while !batcher.0.cost.is_cheap() {
            came(push(&batcher, 0)).await;
        }
        while runs.try_recv().is_ok() {}
        let (reply, receiver) = Reply::channel();
        batcher.push(RowBytes::of(&vec![0; n_bytes]), reply);
        came(receiver).await;
        runs.recv().unwrap().1
    };
    // The model may have been slow just then, for which its thread is the place, too.
    while ask(2).await != here {}
    for n_bytes in [100, 10_000, 1_000_000] {
        assert_ne!(ask(n_bytes).await, here, "{n_bytes} bytes");
    }
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "that nobody waits for it here is what is tested")]
async fn what_somebody_else_runs_is_not_waited_for() {
    let (ran, runs) = mpsc::channel();
    let batcher = Batcher::start("test", Quick(ran), limits(8, 8)).unwrap();
    while !batcher.0.cost.is_cheap() {
        came(push(&batcher, 0)).await;
    }
    while runs.try_recv().is_ok() {}
    let held = batcher.0.runner.lock();
    let row = push(&batcher, 1);
    // The turn has had its turn, and this thread is not held up.
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(runs.try_recv().is_err());
    drop(held);
    assert_eq!(came(row).await, "[1]");
    assert_ne!(runs.recv().unwrap().1, std::thread::current().id());
}

#[tokio::test]
async fn with_a_wait_a_run_begins_when_it_is_full_or_the_time_is_over() {
    let (batcher, let_go, sizes) = gated(Limits { wait: LONG, timeout: 2 * LONG, ..limits(2, 100) });
    let rows = [push(&batcher, 0), push(&batcher, 1)];
    let_go.send(()).unwrap();
    assert_eq!(next_run(&sizes).await, 2, "full, an hour before its time");
    for each in rows {
        assert_ne!(came(each).await, "nothing");
    }
    let (batcher, let_go, sizes) = gated(Limits { wait: Duration::from_millis(20), ..limits(2, 100) });
    let pushed = Instant::now();
    let alone = push(&batcher, 0);
    let_go.send(()).unwrap();
    assert_eq!(next_run(&sizes).await, 1);
    assert!(pushed.elapsed() >= Duration::from_millis(20));
    assert_eq!(came(alone).await, "[0]");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let (batcher, let_go, sizes) = gated(limits(8, 2));
    let running = push(&batcher, 0);
    next_run(&sizes).await;
    let waiting = [push(&batcher, 1), push(&batcher, 2)];
    assert_eq!(came(push(&batcher, 3)).await, "too much waits for the model test");
    assert_eq!((batcher.n_waiting(), batcher.counts().read().n_full), (2, 1));
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    assert_eq!(came(running).await, "[0]");
    for (number, each) in (1..).zip(waiting) {
        assert_eq!(came(each).await, format!("[{number}]"));
    }
}

#[tokio::test]
async fn what_is_late_or_left_is_not_computed() {
    let (batcher, let_go, sizes) = gated(Limits { timeout: Duration::from_millis(50), ..limits(8, 100) });
    let running = push(&batcher, 0);
    next_run(&sizes).await;
    let late = push(&batcher, 1);
    drop(push(&batcher, 2));
    assert_eq!(came(late).await, "the model test did not answer within 0.05 s");
    assert_eq!(came(running).await, "the model test did not answer within 0.05 s");
    let kept = push(&batcher, 3);
    while batcher.0.state.lock().jobs.len() < 3 {
        yield_now().await;
    }
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    assert_eq!(next_run(&sizes).await, 1);
    assert!(batcher.counts().read().n_late >= 2);
    drop(kept);
    while batcher.0.n_waiting.load(Ordering::Relaxed) > 0 {
        yield_now().await;
    }
}

#[tokio::test]
async fn whoever_waits_for_a_thread_that_died_is_told() {
    struct Dying;
    impl Runner for Dying {
        fn run(&mut self, _: &[&[u8]]) -> Vec<Outputs> {
            std::panic::resume_unwind(Box::new("died"));
        }
    }
    let batcher = Batcher::start("test", Dying, limits(8, 100)).unwrap();
    for number in 0..3 {
        assert_eq!(came(push(&batcher, number)).await, "the model test does not run any more");
    }
}

#[tokio::test]
async fn why_a_row_has_no_outputs_comes_through() {
    struct Failing;
    impl Runner for Failing {
        fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
            match rows {
                [[0]] => vec![Err(Failed::Gone("it was killed".to_owned()))],
                [[1]] => vec![Err(Failed::Said("no".to_owned()))],
                _ => Vec::new(),
            }
        }
    }
    let batcher = Batcher::start("test", Failing, limits(1, 100)).unwrap();
    for (number, expected) in
        [(0, "the model test: it was killed"), (1, "the model failed: no"), (2, "the model failed: nothing came")]
    {
        assert_eq!(came(push(&batcher, number)).await, expected);
    }
}

#[tokio::test]
async fn a_model_that_is_dropped_answers_what_it_has_taken() {
    let (batcher, let_go, sizes) = gated(limits(8, 100));
    let running = push(&batcher, 0);
    next_run(&sizes).await;
    // Not even handed over yet.
    let asked = push(&batcher, 1);
    drop(batcher);
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    assert_eq!(came(running).await, "[0]");
    assert_eq!(came(asked).await, "[1]");
}
