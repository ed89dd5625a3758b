//! The rows that one thread asks of a model in one turn of its loop: run together, here where the model is cheap, else
//! handed to the model's thread in one piece and back in one.
//!
//! A task of the asking thread lets all that is ready ask first. It tells everybody, and when the time is over.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use bodega_edge::predict::{Predicted, Waits};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::timeout_at;

use crate::batch::{Job, Shared};
use crate::model::RowBytes;

thread_local! {
    /// Those that still take rows.
    static OPEN: RefCell<Vec<Arc<Turn>>> = const { RefCell::new(Vec::new()) };
}

/// A row, and who waits for it.
struct Asked {
    row: RowBytes,
    whom: Arc<dyn Waits>,
}

struct Turn {
    shared: Arc<Shared>,
    since: Instant,
    /// `None` once they are being run.
    rows: Mutex<Option<Vec<Asked>>>,
}

/// Has a row run with the others of this turn.
pub(crate) fn ask(shared: &Arc<Shared>, row: RowBytes, whom: Arc<dyn Waits>) {
    let asked = Asked { row, whom };
    let Some(asked) = join(shared, asked) else { return };
    let Ok(runtime) = Handle::try_current() else {
        return asked.whom.told(Predicted::Unanswered(shared.stopped()));
    };
    let rows = Mutex::new(Some(vec![asked]));
    let turn = Arc::new(Turn { shared: Arc::clone(shared), since: Instant::now(), rows });
    OPEN.with_borrow_mut(|open| open.push(Arc::clone(&turn)));
    runtime.spawn(run(turn, Open::of(shared)));
}

/// Gives the row back if no turn takes it.
fn join(shared: &Arc<Shared>, asked: Asked) -> Option<Asked> {
    OPEN.with_borrow(|open| {
        let Some(turn) = open.iter().find(|turn| Arc::ptr_eq(&turn.shared, shared)) else { return Some(asked) };
        match &mut *turn.rows.lock() {
            Some(rows) => rows.push(asked),
            None => return Some(asked),
        }
        None
    })
}

/// While there is one the model stays.
struct Open(Arc<Shared>);

impl Open {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.turn_begins();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.turn_ends();
    }
}

async fn run(turn: Arc<Turn>, _open: Open) {
    yield_now().await;
    OPEN.with_borrow_mut(|open| open.retain(|other| !Arc::ptr_eq(other, &turn)));
    let Some(rows) = turn.rows.lock().take() else { return };
    let shared = &turn.shared;
    let mut rows = rows.into_iter();
    while rows.len() > 0 && run_here(shared, &mut rows) {
        if rows.len() > 0 {
            // Who asks for what is stored does not wait for all of a large batch.
            yield_now().await;
        }
    }
    if rows.len() > 0 {
        hand_over(shared, rows, turn.since).await;
    }
}

/// Runs some of the rows on this thread. False if the model is not for that, or the next row is longer than any that was
/// cheap, or somebody else runs it.
fn run_here(shared: &Shared, rows: &mut std::vec::IntoIter<Asked>) -> bool {
    let max_bytes = shared.max_row_bytes();
    let is_short = |asked: &&Asked| asked.row.record().len() <= max_bytes;
    let n_rows = rows.as_slice().iter().take(shared.n_rows_at_once()).take_while(is_short).count();
    if n_rows == 0 {
        return false;
    }
    let Some(mut runner) = shared.try_runner() else { return false };
    let Some(runner) = runner.as_mut() else { return false };
    let mut whoms = Vec::with_capacity(n_rows);
    let mut bodies = Vec::with_capacity(n_rows);
    for asked in rows.take(n_rows) {
        if asked.whom.is_wanted() {
            whoms.push(asked.whom);
            bodies.push(asked.row);
        } else {
            shared.is_not_waiting(1);
        }
    }
    let slices: Vec<&[u8]> = bodies.iter().map(RowBytes::record).collect();
    if !slices.is_empty() {
        for (whom, outputs) in whoms.iter().zip(shared.run(&mut **runner, &slices, None)) {
            whom.told(shared.predicted(outputs));
        }
    }
    true
}

async fn hand_over(shared: &Arc<Shared>, rows: impl ExactSizeIterator<Item = Asked>, since: Instant) {
    let deadline = since + shared.timeout();
    let (home, mut answers) = mpsc::unbounded_channel();
    let mut whoms = Vec::with_capacity(rows.len());
    let jobs = rows.enumerate().map(|(number, Asked { row, whom })| {
        whoms.push(Some(Arc::clone(&whom)));
        Job { row, since, deadline, whom, number, home: home.clone() }
    });
    shared.queue(jobs);
    drop(home);
    while let Ok(Some(told)) = timeout_at(deadline.into(), answers.recv()).await {
        for (job, outputs) in told {
            if let Some(whom) = whoms.get_mut(job.number).and_then(Option::take) {
                whom.told(shared.predicted(outputs));
            }
        }
    }
    for whom in whoms.into_iter().flatten() {
        // Not computed because its time was over, or nobody wanted it, or the thread has died.
        whom.told(Predicted::Unanswered(if Instant::now() >= deadline { shared.late() } else { shared.stopped() }));
    }
}
