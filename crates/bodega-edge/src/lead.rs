//! The writing side of a fill: asks the origin, decides on the head, pumps the body into slices, stores the entry.
//!
//! Runs in a task of its own (`fillers`), so that a client that leaves takes nothing from those who read along.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bodega_semantics::storable::{self, RequestFacts, Storable, Terms};
use bodega_semantics::vary::{self, Vary};
use bodega_semantics::{Fields, Head, Key, Outcome, Reason, Timestamp, date, reuse};
use bodega_snapshot::{Behavior, Snapshot};
use bodega_store::entry::{INLINE_BYTES, Kind, NewEntry};
use bodega_store::slice::SLICE_BYTES;
use bodega_store::{Entry, Reservation, SliceWriter, SlicedBody};

use crate::edge::Worker;
use crate::exchange::OwnedRequest;
use crate::fetch::{BodyStream, FetchAnswer, FetchError, FetchFuture, FetchRequest, next_chunk};
use crate::fill::{Fill, LiveHead, Resolved};

/// How long a fill that is not kept waits for its slowest reader.
const SLOWEST_READER_WAIT: Duration = Duration::from_secs(10);
/// How long it is remembered that answers under a key are not for sharing.
const UNCACHEABLE_MEMORY: Duration = Duration::from_secs(60);

/// All that a fill needs to know about the request it stands for.
pub(crate) struct Lead {
    pub(crate) worker: Arc<Worker>,
    pub(crate) fill: Arc<Fill>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) behavior: Arc<Behavior>,
    pub(crate) origin: String,
    pub(crate) request: Arc<OwnedRequest>,
    /// The key before variation.
    pub(crate) primary: Key,
    pub(crate) facts: RequestFacts,
    /// What is stored already and is being validated.
    pub(crate) previous: Option<Entry>,
}

/// Ends the fill for everybody if it is dropped half-way, or before it began.
pub(crate) struct EndGuard {
    worker: Arc<Worker>,
    fill: Arc<Fill>,
}

impl EndGuard {
    pub(crate) fn of(lead: &Lead) -> Self {
        Self { worker: Arc::clone(&lead.worker), fill: Arc::clone(&lead.fill) }
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.worker.edge.collapse.leave(&self.fill);
        self.fill.end(Err(FetchError::internal("the edge is shutting down")));
    }
}

/// The entry as it is under the configuration in force: its terms computed anew from what the origin said.
/// `None` if it may not be stored any more; it is gone then.
pub(crate) fn under_revision(
    worker: &Worker,
    snapshot: &Snapshot,
    behavior: &Behavior,
    entry: &Entry,
) -> Option<Entry> {
    let mut fields = Fields::copy_of(entry);
    // The age at storing is in `born`; with the time of arrival as both times nothing is added to it again.
    let arrived = entry.first("date").and_then(date::parse).unwrap_or(entry.terms.born);
    fields.remove("age");
    let facts = RequestFacts::get(entry.for_user);
    match storable::decide(&facts, entry.status, &fields, &behavior.policy, arrived, arrived) {
        Storable::Yes(terms) => {
            let lifetime = terms.expires.since(terms.born);
            let terms = Terms { born: entry.terms.born, expires: entry.terms.born.plus(lifetime), ..terms };
            let status_line = status_line(entry);
            let fresh = entry.with_head(&NewEntry {
                key: entry.key,
                marks: entry.marks,
                stamp: entry.stamp,
                terms,
                revision: snapshot.revision,
                kind: entry.kind,
                status: entry.status,
                for_user: entry.for_user,
                status_line: &status_line,
                block: entry.block().0,
            });
            worker.edge.memory.insert(fresh.clone());
            Some(fresh)
        }
        Storable::No(_) => {
            worker.edge.memory.remove(entry);
            None
        }
    }
}

/// Runs the fill to its end.
pub(crate) async fn run(mut lead: Lead, fetch: FetchRequest, last: &mut Option<FetchFuture>) {
    let worker = Arc::clone(&lead.worker);
    let request_time = worker.now();
    // What the last fetch of this task was made of goes back just before the next one needs the same again. Given
    // back any earlier, entries would be put into it, and holes would grow with the store.
    *last = None;
    let result = last.insert(worker.fetch.fetch(&lead.origin, fetch)).await;
    let response_time = worker.now();
    match result {
        Err(error) => lead.fail(error, response_time),
        Ok(answer) => {
            if let Some(previous) = lead.previous.take() {
                match answer.status {
                    304 if has_validator(&previous) => {
                        return lead.refresh(&previous, &answer, request_time, response_time);
                    }
                    status @ (500 | 502 | 503 | 504) if reuse::may_serve_on_error(&previous.terms, response_time) => {
                        return lead.resolve_entry(previous, Outcome::Stale, Reason::IfError, Some(status));
                    }
                    _ => lead.previous = Some(previous),
                }
            }
            if answer.status == 304 {
                let error =
                    FetchError::new(Reason::OriginMalformed, "the origin answered 304 to a request without conditions");
                return lead.fail(error, response_time);
            }
            lead.receive(answer, request_time, response_time).await;
        }
    }
}

impl Lead {
    fn fail(self, error: FetchError, now: Timestamp) {
        self.leave();
        match self.previous {
            Some(ref previous) if reuse::may_serve_on_error(&previous.terms, now) => {
                let previous = previous.clone();
                self.resolve_entry(previous, Outcome::Stale, Reason::IfError, None);
            }
            _ => self.fill.resolve(Resolved::Failed(error)),
        }
    }

    fn resolve_entry(&self, entry: Entry, outcome: Outcome, reason: Reason, fwd_status: Option<u16>) {
        self.leave();
        self.fill.resolve(Resolved::Entry { entry, outcome, reason, fwd_status });
        self.fill.end(Ok(()));
    }

    fn leave(&self) {
        self.worker.edge.collapse.leave(&self.fill);
    }

    /// A 304: the stored body under an updated head (RFC 9111 sections 3.2 and 4.3.4).
    fn refresh(self, previous: &Entry, answer: &FetchAnswer, request_time: Timestamp, response_time: Timestamp) {
        let mut fields = Fields::copy_of(previous);
        for field in answer.fields.fields() {
            if is_replaced_by_304(field.name) {
                fields.remove(field.name);
            }
        }
        for field in answer.fields.fields() {
            if is_replaced_by_304(field.name) {
                fields.push(field.name, field.value);
            }
        }
        if !answer.fields.has("date") {
            fields.set("Date", &date::format(response_time));
        }
        fields.remove("age");
        let mut with_age = fields.clone();
        if let Some(age) = answer.fields.first("age") {
            with_age.push("Age", age);
        }
        let policy = &self.behavior.policy;
        // The body stays what a user's request once brought, whoever asks whether it still holds.
        let for_user = self.facts.has_user_fields || previous.for_user;
        let facts = RequestFacts::get(for_user);
        let decided = storable::decide(&facts, previous.status, &with_age, policy, request_time, response_time);
        let (terms, keep) = match decided {
            Storable::Yes(terms) => (terms, true),
            // The origin no longer wants it stored: this once it answers those who asked, then it is gone.
            Storable::No(_) => (Terms { born: response_time, expires: response_time, ..previous.terms }, false),
        };
        let status_line = status_line(previous);
        let entry = previous.with_head(&NewEntry {
            key: previous.key,
            marks: previous.marks,
            stamp: self.fill.stamp,
            terms,
            revision: self.snapshot.revision,
            kind: Kind::Answer,
            status: previous.status,
            for_user,
            status_line: &status_line,
            block: fields.as_block(),
        });
        if keep {
            self.store(entry.clone());
        } else {
            self.worker.edge.memory.remove(previous);
        }
        self.resolve_entry(entry, Outcome::Revalidated, self.reason_of_revalidation(previous), Some(304));
    }

    fn reason_of_revalidation(&self, previous: &Entry) -> Reason {
        if previous.terms.always_validate { Reason::MustRevalidate } else { Reason::Expired }
    }

    /// A whole answer.
    async fn receive(self, answer: FetchAnswer, request_time: Timestamp, response_time: Timestamp) {
        let policy = &self.behavior.policy;
        let decided = storable::decide(&self.facts, answer.status, &answer.fields, policy, request_time, response_time);
        let terms = match decided {
            Storable::Yes(terms) if !too_large(&self, answer.content_length) => Some(terms),
            _ => None,
        };
        let is_for_users = matches!(decided, Storable::No(Reason::UserRequest));
        let Some(terms) = terms else {
            // Too large to keep but free to be shared: read along through a window.
            if let Storable::Yes(terms) = decided
                && let Some((key, names)) = self.variation(&answer.fields)
            {
                return self.pump(answer, terms, key, names, response_time, false).await;
            }
            return self.give_to_leader(answer, is_for_users);
        };
        match self.variation(&answer.fields) {
            None => self.give_to_leader(answer, is_for_users),
            Some((key, names)) => self.pump(answer, terms, key, names, response_time, true).await,
        }
    }

    fn give_to_leader(&self, answer: FetchAnswer, is_for_users: bool) {
        self.leave();
        // RFC 9111 section 4.3.3: a failure of the origin says nothing about what is stored, nor about its next answer.
        let has_failed = answer.status >= 500;
        if let Some(previous) = self.previous.as_ref().filter(|_| !has_failed) {
            self.worker.edge.memory.remove(previous);
        }
        if self.fill.was_joined() && !has_failed {
            self.remember_uncacheable(is_for_users);
        }
        self.fill.resolve_private(answer);
        self.fill.end(Ok(()));
    }

    fn remember_uncacheable(&self, is_for_users: bool) {
        let now = self.worker.now();
        let terms = Terms { born: now, expires: now.plus(UNCACHEABLE_MEMORY), ..Terms::default() };
        self.store(self.marker(Kind::Uncacheable, self.fill.key, terms, is_for_users, b""));
    }

    fn marker(&self, kind: Kind, key: Key, terms: Terms, for_user: bool, body: &[u8]) -> Entry {
        let new = NewEntry {
            key,
            marks: self.fill.marks,
            stamp: self.fill.stamp,
            terms,
            revision: self.snapshot.revision,
            kind,
            status: 0,
            for_user,
            status_line: b"",
            block: b"",
        };
        Entry::inline(&new, body)
    }

    /// The key under which an answer with these fields is stored, and the names it varies by.
    /// `None`: it varies by something nobody can compare (`Vary: *`).
    fn variation(&self, fields: &Fields) -> Option<(Key, Vec<String>)> {
        match vary::parse(fields) {
            Vary::Star => None,
            Vary::None => Some((self.primary, Vec::new())),
            Vary::Names(names) => {
                let secret = &self.worker.edge.settings.secret;
                Some((vary::variant(secret, self.primary, &names, &self.request.fields), names))
            }
        }
    }

    /// Stores unless something that began later is there already, or it was invalidated meanwhile.
    fn store(&self, entry: Entry) -> bool {
        let edge = &self.worker.edge;
        if !edge.invalidations.allows(entry.stamp, &entry.marks) {
            return false;
        }
        if edge.memory.peek(entry.key).is_some_and(|other| other.stamp > entry.stamp) {
            return false;
        }
        edge.memory.insert(entry)
    }

    async fn pump(
        self,
        answer: FetchAnswer,
        terms: Terms,
        key: Key,
        names: Vec<String>,
        response_time: Timestamp,
        keep: bool,
    ) {
        let FetchAnswer { status, mut fields, content_length, mut body } = answer;
        fields.remove("age");
        fields.remove("content-length");
        if !fields.has("date") {
            // RFC 9110 section 6.6.1: a recipient that caches adds the date it received the answer.
            fields.push("Date", &date::format(response_time));
        }
        let reservation = if keep { self.reserve(content_length) } else { None };
        let keep = reservation.is_some();
        // Before the names can be read: who finds them looks for the fill under the variant's key.
        self.worker.edge.collapse.enter_variant(&self.fill, key);
        if keep && !names.is_empty() {
            let marker = self.marker(
                Kind::VaryNames,
                self.primary,
                Terms { born: terms.born, expires: Timestamp(u64::MAX), ..Terms::default() },
                false,
                names.join("\n").as_bytes(),
            );
            self.store(marker);
        }
        let mut head =
            LiveHead { status, fields, content_length, key, vary_names: names, terms, stored: keep, entry: None };
        let early = if keep { come_at_once(&mut *body).await } else { AtOnce::default() };
        if let Some(whole) = early.whole().filter(|whole| !too_large(&self, Some(whole.len() as u64))) {
            drop(reservation);
            let entry = self.inline_entry(&head, whole);
            head.stored = !too_large(&self, Some(whole.len() as u64)) && self.store(entry.clone());
            head.fields = Fields::new();
            head.entry = Some(entry);
            self.leave();
            self.fill.resolve(Resolved::Live(Arc::new(head)));
            return self.fill.end(Ok(()));
        }
        let head = Arc::new(head);
        self.fill.resolve(Resolved::Live(Arc::clone(&head)));
        let mut sink = Sink { lead: &self, reservation, writer: None, n_bytes: 0, content_length };
        match sink.drain(early, &mut *body).await {
            Err(error) => {
                self.leave();
                self.fill.end(Err(error));
            }
            Ok(()) => {
                let kept = sink.reservation.take();
                let n_bytes = sink.n_bytes;
                if kept.is_some() {
                    drop(kept);
                    self.store_whole(&head, n_bytes);
                }
                self.leave();
                self.fill.end(Ok(()));
            }
        }
    }

    fn store_whole(&self, head: &LiveHead, n_bytes: u64) {
        let slices = self.fill.slices();
        let entry = if n_bytes <= INLINE_BYTES as u64 {
            let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.filled().iter().copied()).collect();
            self.inline_entry(head, &whole)
        } else {
            self.new_entry(head, n_bytes, |new| Entry::sliced(new, SlicedBody { slices: slices.into(), n_bytes }))
        };
        self.store(entry);
    }

    fn inline_entry(&self, head: &LiveHead, body: &[u8]) -> Entry {
        self.new_entry(head, body.len() as u64, |new| Entry::inline(new, body))
    }

    fn new_entry(&self, head: &LiveHead, n_bytes: u64, make: impl FnOnce(&NewEntry<'_>) -> Entry) -> Entry {
        let mut block = head.fields.as_block().to_vec();
        bodega_http1::write::write_length(&mut block, n_bytes);
        let mut status_line = Vec::with_capacity(32);
        crate::respond::write_status_line(&mut status_line, head.status);
        make(&NewEntry {
            key: head.key,
            marks: self.fill.marks,
            stamp: self.fill.stamp,
            terms: head.terms,
            revision: self.snapshot.revision,
            kind: Kind::Answer,
            status: head.status,
            for_user: self.facts.has_user_fields,
            status_line: &status_line,
            block: &block,
        })
    }

    fn reserve(&self, content_length: Option<u64>) -> Option<Reservation> {
        let first = content_length.unwrap_or(FIRST_UNKNOWN_BYTES as u64);
        self.worker.edge.memory.reserve(first + 1024)
    }
}

/// What of a body is there already when its head is.
#[derive(Default)]
struct AtOnce {
    chunks: Vec<Result<bytes::Bytes, FetchError>>,
    ended: bool,
}

impl AtOnce {
    /// The whole body, if it is there in one piece and small enough to lie beside its head.
    fn whole(&self) -> Option<&[u8]> {
        match self.chunks.as_slice() {
            [] if self.ended => Some(b""),
            [Ok(one)] if self.ended && one.len() <= INLINE_BYTES => Some(one),
            _ => None,
        }
    }
}

/// Takes what has come together with the head, without waiting: small answers mostly come whole, and then need
/// neither slices nor readers.
async fn come_at_once(body: &mut dyn BodyStream) -> AtOnce {
    let mut early = AtOnce::default();
    std::future::poll_fn(|context| {
        while !early.ended && early.chunks.len() < 2 {
            match body.poll_chunk(context) {
                Poll::Ready(None) => early.ended = true,
                Poll::Ready(Some(Err(error))) => {
                    early.chunks.push(Err(error));
                    break;
                }
                Poll::Ready(Some(chunk)) => early.chunks.push(chunk),
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    })
    .await;
    early
}

/// Where the chunks of a body go.
struct Sink<'a> {
    lead: &'a Lead,
    /// Present while the body is being kept.
    reservation: Option<Reservation>,
    writer: Option<SliceWriter>,
    n_bytes: u64,
    content_length: Option<u64>,
}

impl Sink<'_> {
    /// Takes the chunks that are there and then all that come. `early.ended` bodies are not polled again.
    async fn drain(&mut self, early: AtOnce, body: &mut dyn BodyStream) -> Result<(), FetchError> {
        for chunk in early.chunks {
            self.take(&chunk?).await?;
        }
        if early.ended {
            return Ok(());
        }
        while let Some(chunk) = self.next_chunk(body).await? {
            self.take(&chunk).await?;
        }
        Ok(())
    }

    /// Waits for the next chunk; for a body that is not kept no longer than anybody reads it.
    async fn next_chunk(&self, body: &mut dyn BodyStream) -> Result<Option<bytes::Bytes>, FetchError> {
        if self.reservation.is_some() {
            return next_chunk(body).await.transpose();
        }
        let fill = &self.lead.fill;
        loop {
            if fill.slowest().is_none() {
                return Err(abandoned());
            }
            tokio::select! {
                biased;
                chunk = next_chunk(body) => return chunk.transpose(),
                () = fill.wait_for_room() => {}
            }
        }
    }

    async fn take(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        let mut rest = chunk;
        if self.content_length.is_none() && too_large(self.lead, Some(self.n_bytes + chunk.len() as u64)) {
            // Of unknown length, and now larger than what is kept.
            self.reservation = None;
        }
        while !rest.is_empty() {
            if self.writer.as_ref().is_none_or(SliceWriter::is_full) {
                self.next_slice().await?;
            }
            let Some(writer) = &mut self.writer else { break };
            let n_bytes = writer.append(rest);
            self.n_bytes += n_bytes as u64;
            rest = &rest[n_bytes..];
        }
        self.lead.fill.changed.notify_waiters();
        Ok(())
    }

    async fn next_slice(&mut self) -> Result<(), FetchError> {
        let capacity = self.next_capacity();
        self.keep_or_let_go(capacity as u64);
        if self.reservation.is_none() {
            self.wait_for_window(capacity as u64).await?;
        }
        let writer = SliceWriter::with_capacity(capacity);
        self.lead.fill.push_slice(self.n_bytes, writer.share());
        self.writer = Some(writer);
        Ok(())
    }

    fn next_capacity(&self) -> usize {
        match self.content_length {
            Some(total) => {
                usize::try_from(total.saturating_sub(self.n_bytes)).unwrap_or(SLICE_BYTES).clamp(1, SLICE_BYTES)
            }
            // Of unknown length: begin small, so that many small bodies do not take a slice each.
            None => usize::try_from(self.n_bytes * 3).unwrap_or(SLICE_BYTES).clamp(FIRST_UNKNOWN_BYTES, SLICE_BYTES),
        }
    }

    /// Gives up keeping a body of unknown length for which there is no room.
    fn keep_or_let_go(&mut self, more_bytes: u64) {
        if self.content_length.is_some() {
            return;
        }
        if let Some(reservation) = &mut self.reservation
            && !reservation.grow(more_bytes)
        {
            self.reservation = None;
        }
    }

    /// Waits until the slowest reader leaves room in the window, for a bounded time while others are held up by it: then
    /// it is left behind. One who reads alone holds up nobody, and may go on as slowly as it likes while it moves.
    async fn wait_for_window(&mut self, more_bytes: u64) -> Result<(), FetchError> {
        let fill = &self.lead.fill;
        let window = self.lead.worker.edge.settings.fill_window_bytes.max(2 * SLICE_BYTES as u64);
        let end = self.n_bytes + more_bytes;
        if end - fill.base() <= window {
            return Ok(());
        }
        // The window moves: who comes now cannot read from the first byte any more.
        self.lead.leave();
        let mut deadline = tokio::time::Instant::now() + SLOWEST_READER_WAIT;
        let mut seen = fill.slowest();
        loop {
            let Some((slowest, n_readers)) = fill.slowest() else { return Err(abandoned()) };
            fill.drop_before(slowest);
            if end - fill.base() <= window {
                return Ok(());
            }
            if n_readers == 1 && seen != Some((slowest, n_readers)) {
                deadline = tokio::time::Instant::now() + SLOWEST_READER_WAIT;
            }
            seen = Some((slowest, n_readers));
            if tokio::time::timeout_at(deadline, fill.wait_for_room()).await.is_err() {
                fill.drop_before(end - window + SLICE_BYTES as u64);
            }
        }
    }
}

fn abandoned() -> FetchError {
    FetchError::new(Reason::ClientGone, "all readers of a body that is not kept have left")
}

fn has_validator(entry: &Entry) -> bool {
    entry.has("etag") || entry.has("last-modified")
}

/// The first slice of a body of unknown length.
const FIRST_UNKNOWN_BYTES: usize = 16 * 1024;

fn too_large(lead: &Lead, content_length: Option<u64>) -> bool {
    let memory = lead.worker.edge.memory.max_object_bytes();
    let bound = lead.behavior.policy.max_object_bytes.map_or(memory, |bound| bound.min(memory));
    content_length.is_some_and(|n_bytes| n_bytes > bound)
}

fn status_line(entry: &Entry) -> Vec<u8> {
    let mut line = Vec::with_capacity(32);
    crate::respond::write_status_line(&mut line, entry.status);
    line
}

/// RFC 9111 section 3.2: a 304 updates every field but the length of the stored body.
fn is_replaced_by_304(name: &str) -> bool {
    !["content-length", "content-range", "age"].iter().any(|kept| name.eq_ignore_ascii_case(kept))
}
