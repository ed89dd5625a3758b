//! The writing side of a fill: asks the origin, decides on the head, pumps the body into slices, stores the entry.
//!
//! Runs in a task of its own (`fillers`), so that a client that leaves takes nothing from those who read along.

use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::partial::Run;
use bodega_semantics::storable::{self, RequestFacts, Storable, Terms};
use bodega_semantics::tags::{self, NotTaggable};
use bodega_semantics::{Field, Fields, Head, Key, Outcome, Reason, Timestamp, date, deception, reuse};
use bodega_snapshot::{Behavior, Snapshot};
use bodega_store::entry::{INLINE_BYTES, Kind, NewEntry};
use bodega_store::{Entry, Note, Reservation, SlicedBody};

use crate::content::Content;
use crate::edge::Worker;
use crate::exchange::OwnedRequest;
use crate::fetch::{FetchAnswer, FetchError, FetchFuture, FetchRequest};
use crate::fill::{Fill, LiveHead, Resolved};
use crate::partial::{Checked, Plan};
use crate::sink::{AtOnce, FIRST_UNKNOWN_BYTES, Sink, come_at_once, is_for_disk, too_large};
use crate::spill::Spill;
use crate::upstream::{self, Purpose};
use crate::variants;

/// How long it is remembered that answers under a key are not for sharing.
const UNCACHEABLE_MEMORY: Duration = Duration::from_secs(60);

/// All that a fill needs to know about the request it stands for.
pub(crate) struct Lead {
    pub(crate) worker: Arc<Worker>,
    pub(crate) fill: Arc<Fill>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) behavior: Arc<Behavior>,
    pub(crate) origin: Arc<str>,
    pub(crate) request: Arc<OwnedRequest>,
    /// The key before variation.
    pub(crate) primary: Key,
    pub(crate) facts: RequestFacts,
    /// What is stored already and is being validated.
    pub(crate) previous: Option<Entry>,
    /// That is fresh, and asked about ahead of time: it stays if the origin fails.
    pub(crate) is_early: bool,
    /// It is asked about because the edge no longer trusts what it stored.
    pub(crate) is_paced: bool,
    /// Answers to other requests for the URL, any of which the origin may find to be the one.
    pub(crate) offered: Vec<Entry>,
    /// Whether the request has conditions.
    pub(crate) asks_whether: bool,
    /// What the request brings, where that is in the key.
    pub(crate) content: Option<Arc<Content>>,
    /// What is asked for instead of the whole.
    pub(crate) plan: Option<Plan>,
    /// Which part of the whole the body turned out to be.
    pub(crate) run: Option<Run>,
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

/// Runs the fill to its end.
pub(crate) async fn run(mut lead: Lead, mut fetch: FetchRequest, last: &mut Option<FetchFuture>) {
    let worker = Arc::clone(&lead.worker);
    loop {
        if lead.is_paced
            && let Err(error) = worker.edge.pace.turn(&lead.origin).await
        {
            return lead.fail(error, worker.now());
        }
        let request_time = worker.now();
        // What the last fetch of this task was made of goes back just before the next one needs the same again. Given
        // back any earlier, entries would be put into it, and holes would grow with the store.
        *last = None;
        let result = last.insert(worker.fetch.fetch(&lead.origin, fetch)).await;
        let response_time = worker.now();
        let answer = match result {
            Err(error) => return lead.fail(error, response_time),
            Ok(answer) => answer,
        };
        if answer.status == 304 {
            match lead.selected_by(&answer) {
                Some(entry) => return lead.refresh(&entry, &answer, request_time, response_time),
                None if lead.asks_whether => {
                    // RFC 9111 section 4.3.4: it confirms something that is not here. Without conditions, then.
                    lead.asks_whether = false;
                    fetch = upstream::request(&worker.edge.settings, &lead.behavior, &lead.request, Purpose::Store);
                    fetch.body = lead.content.as_ref().map(|content| content.body());
                    continue;
                }
                None => {
                    let what = "the origin answered 304 to a request without conditions";
                    return lead.fail(FetchError::new(Reason::OriginMalformed, what), response_time);
                }
            }
        }
        if lead.is_early && (answer.status >= 500 || matches!(answer.status, 408 | 429)) {
            return lead.keep_previous(answer);
        }
        if matches!(answer.status, 500 | 502 | 503 | 504)
            && let Some(entry) = lead.stand_in(response_time)
        {
            return lead.resolve_entry(entry, Outcome::Stale, Reason::IfError, Some(answer.status), true);
        }
        match lead.check(answer, request_time, response_time) {
            Checked::Whole(answer) => return lead.receive(answer, request_time, response_time).await,
            Checked::Part { answer, terms, key, names, run } => {
                let keep = !too_large(&lead, answer.content_length);
                lead.run = Some(run);
                return lead.pump(answer, terms, key, names, response_time, keep).await;
            }
            Checked::Alone(answer) => return lead.give_to_leader(answer, false),
            Checked::Malformed(error) => return lead.fail(error, response_time),
            Checked::Again(again) => fetch = again,
        }
    }
}

impl Lead {
    pub(crate) fn fail(self, error: FetchError, now: Timestamp) {
        self.leave();
        self.note_early_failure();
        match self.stand_in(now) {
            Some(entry) => self.resolve_entry(entry, Outcome::Stale, Reason::IfError, None, true),
            None => self.fill.resolve(Resolved::Failed(error)),
        }
    }

    /// An origin that fails ahead of time has changed nothing. Who waits for it all the same asks for itself.
    fn keep_previous(self, answer: FetchAnswer) {
        self.leave();
        self.note_early_failure();
        self.fill.resolve_private(answer);
        self.fill.end(Ok(()));
    }

    fn note_early_failure(&self) {
        let edge = &self.worker.edge;
        if self.is_early {
            edge.early.failed(self.fill.key, edge.steady());
        }
    }

    /// What is stored, if it may answer in place of an origin that failed: not what has been forgotten meanwhile.
    fn stand_in(&self, now: Timestamp) -> Option<Entry> {
        if !self.worker.edge.may_use_unasked(&self.behavior.policy) {
            return None;
        }
        let previous = self.previous.as_ref().filter(|previous| reuse::may_serve_on_error(&previous.terms, now))?;
        let entry = self.worker.edge.usable(previous.clone())?;
        reuse::may_serve_on_error(&entry.terms, now).then_some(entry)
    }

    pub(crate) fn resolve_entry(
        &self,
        entry: Entry,
        outcome: Outcome,
        reason: Reason,
        fwd_status: Option<u16>,
        is_for_all: bool,
    ) {
        self.leave();
        self.fill.resolve(Resolved::Entry { entry, outcome, reason, fwd_status, is_for_all, stored: false });
        self.fill.end(Ok(()));
    }

    pub(crate) fn leave(&self) {
        self.worker.edge.collapse.leave(&self.fill);
    }

    /// Whether an answer may be kept under the path that was asked for.
    pub(crate) fn decide(
        &self,
        facts: &RequestFacts,
        status: u16,
        fields: &Fields,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Storable {
        let policy = &self.behavior.policy;
        if policy.check_content_type && deception::contradicts(&self.request.path, status, fields) {
            return Storable::No(Reason::Deception);
        }
        match storable::decide(facts, status, fields, policy, request_time, response_time) {
            Storable::Yes(_) if self.tags(fields).is_err() => Storable::No(Reason::Tags),
            decided => decided,
        }
    }

    /// The tags of an answer with these fields.
    pub(crate) fn tags(&self, fields: &Fields) -> Result<Vec<String>, NotTaggable> {
        let (host, path, _) = Note(&self.fill.note).url_parts();
        tags::of(fields, &self.behavior.policy.tags, host, path)
    }

    /// Takes the tags out of the fields of an answer that is kept.
    fn take_tags(&self, fields: &mut Fields) -> Vec<String> {
        // That they can be kept has been decided, if it is to be kept.
        let found = self.tags(fields).unwrap_or_default();
        if self.behavior.policy.strip_tags {
            tags::strip(fields);
        }
        found
    }

    /// A whole answer.
    pub(crate) async fn receive(self, answer: FetchAnswer, request_time: Timestamp, response_time: Timestamp) {
        let decided = self.decide(&self.facts, answer.status, &answer.fields, request_time, response_time);
        let terms = match decided {
            Storable::Yes(terms)
                if !too_large(&self, answer.content_length)
                    && !is_for_disk(&self, &answer.fields, answer.content_length) =>
            {
                Some(terms)
            }
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
            self.worker.edge.remove(previous);
        }
        let is_for_part = self.plan.as_ref().is_some_and(Plan::is_for_part);
        if self.fill.was_joined() && !has_failed && !is_for_part {
            self.remember_uncacheable(is_for_users);
        }
        self.fill.resolve_private(answer);
        self.fill.end(Ok(()));
    }

    pub(crate) fn remember_uncacheable(&self, is_for_users: bool) {
        let now = self.worker.now();
        let terms = Terms { born: now, expires: now.plus(UNCACHEABLE_MEMORY), ..Terms::default() };
        self.store(self.marker(Kind::Uncacheable, self.fill.key, self.fill.stamp, terms, is_for_users, b""));
    }

    pub(crate) fn marker(&self, kind: Kind, key: Key, stamp: u64, terms: Terms, for_user: bool, body: &[u8]) -> Entry {
        let new = NewEntry {
            key,
            stamp,
            terms,
            revision: self.snapshot.revision,
            kind,
            status: 0,
            for_user,
            status_line: b"",
            block: b"",
            note: &self.fill.note,
        };
        Entry::inline(&new, body)
    }

    /// The key under which an answer with these fields is stored, and the names it varies by.
    /// `None`: it varies by something nobody can compare.
    pub(crate) fn variation(&self, fields: &Fields) -> Option<(Key, Vec<String>)> {
        variants::place(&self.worker.edge, &self.behavior, self.primary, fields, &self.request.fields)
    }

    /// Stores unless something that began later is there already, or it was invalidated meanwhile.
    pub(crate) fn store(&self, entry: Entry) -> bool {
        self.worker.edge.store(entry)
    }

    /// The same, for one whose body is stored already.
    pub(crate) fn store_refreshed(&self, entry: Entry) -> bool {
        let _storing = self.worker.edge.invalidations.storing();
        self.worker.edge.may_store(&entry) && self.worker.edge.keep_refreshed(entry)
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
        let withheld = withhold(&mut fields);
        let tags = self.take_tags(&mut fields);
        if !fields.has("date") {
            // RFC 9110 section 6.6.1: a recipient that caches adds the date it received the answer.
            fields.push("Date", &date::format(response_time));
        }
        // Before the names can be read: who finds them looks for the fill under the variant's key.
        let part = self.run.filter(|run| !run.is_whole());
        if part.is_none() {
            self.worker.edge.collapse.enter_variant(&self.fill, key);
        }
        let mut head = LiveHead {
            status,
            fields,
            withheld,
            content_length,
            key,
            vary_names: names,
            tags,
            terms,
            stored: false,
            on_disk: None,
            part,
            entry: None,
        };
        // A part of what is too large for memory is kept where its other parts will be.
        let total = part.map(|run| run.total);
        let is_for_memory = keep && !too_large(&self, total) && !is_for_disk(&self, &head.fields, total);
        let mut reservation = if is_for_memory { self.reserve(content_length) } else { None };
        let spill = if reservation.is_none() { Spill::begin(&self, &head) } else { None };
        if keep && reservation.is_none() && spill.is_none() {
            reservation = self.reserve(content_length);
        }
        let keep = reservation.is_some();
        head.stored = keep;
        head.on_disk = spill.as_ref().map(|spill| spill.entry.clone());
        if (keep || head.on_disk.is_some()) && !head.vary_names.is_empty() {
            self.remember_variant(&head.vary_names, key, head.terms.born);
        }
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
        let mut sink = Sink { lead: &self, reservation, writer: None, n_bytes: 0, content_length, spill };
        match sink.drain(early, &mut *body).await {
            Err(error) => {
                let is_kept = sink.reservation.take().is_some();
                // What was asked with content is never asked for in parts.
                let is_kept = is_kept && self.content.is_none();
                if is_kept && matches!(error.reason, Reason::OriginBroken | Reason::OriginTimeout) {
                    self.keep_beginning(&head, sink.n_bytes);
                }
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

    pub(crate) fn store_whole(&self, head: &LiveHead, n_bytes: u64) {
        let slices = self.fill.slices();
        let entry = if n_bytes <= INLINE_BYTES as u64 {
            let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.filled().iter().copied()).collect();
            self.inline_entry(head, &whole)
        } else {
            self.new_entry(head, head.part.as_ref(), n_bytes, |new| {
                Entry::sliced(new, SlicedBody { slices: slices.into(), n_bytes })
            })
        };
        self.store(entry);
    }

    fn inline_entry(&self, head: &LiveHead, body: &[u8]) -> Entry {
        self.new_entry(head, head.part.as_ref(), body.len() as u64, |new| Entry::inline(new, body))
    }

    pub(crate) fn new_entry<E>(
        &self,
        head: &LiveHead,
        part: Option<&Run>,
        n_bytes: u64,
        make: impl FnOnce(&NewEntry<'_>) -> E,
    ) -> E {
        let mut block = head.fields.as_block().to_vec();
        let (kind, key) = match part {
            None => (Kind::Answer, head.key),
            Some(run) => {
                block.extend_from_slice(&[b"Content-Range: ", &run.content_range()[..], b"\r\n"].concat());
                (Kind::Part, bodega_semantics::partial::key(head.key))
            }
        };
        if head.status != 204 {
            // RFC 9110 section 8.6: a 204 has no Content-Length.
            bodega_http1::write::write_length(&mut block, n_bytes);
        }
        let mut status_line = Vec::with_capacity(32);
        crate::respond::write_status_line(&mut status_line, head.status);
        make(&NewEntry {
            key,
            stamp: self.fill.stamp,
            terms: head.terms,
            revision: self.snapshot.revision,
            kind,
            status: head.status,
            for_user: self.facts.has_user_fields,
            status_line: &status_line,
            block: &block,
            note: &Note(&self.fill.note).with_tags(head.tags.iter().map(String::as_str)),
        })
    }

    fn reserve(&self, content_length: Option<u64>) -> Option<Reservation> {
        let first = content_length.unwrap_or(FIRST_UNKNOWN_BYTES as u64);
        self.worker.edge.memory.reserve(first + 1024)
    }
}

/// Takes out what only the first client gets (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
pub(crate) fn withhold(fields: &mut Fields) -> Fields {
    let names = storable::withheld(fields);
    let mut withheld = Fields::new();
    if !names.is_empty() {
        let is_named = |field: &Field<'_>| names.iter().any(|name| field.name.eq_ignore_ascii_case(name));
        for field in fields.fields().filter(is_named) {
            withheld.push(field.name, field.value);
        }
        fields.retain(|field| !is_named(&field));
    }
    withheld
}

pub(crate) fn has_validator(entry: &Entry) -> bool {
    entry.has("etag") || entry.has("last-modified")
}
