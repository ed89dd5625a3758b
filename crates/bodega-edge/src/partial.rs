//! Parts of a body: answering from a stored part, asking an origin for what is missing, and putting both together.
//!
//! A part is stored beside the whole, under a key of its own, as one run of bytes of a body of known length; it never
//! stands in for the whole. `find` and `plan` decide for a request, `check` for the answer; from there on a fill of a
//! part is a fill like any other (`lead`, `sink`). What makes two answers parts of one whole is in
//! `bodega_semantics::partial`.

use std::task::{Context, Poll};

use bodega_semantics::multipart::Span;
use bodega_semantics::partial::{self, Missing, Run};
use bodega_semantics::range::{self, RangeDecision, Requested};
use bodega_semantics::storable::{RequestFacts, Storable, Terms};
use bodega_semantics::{Fields, Head, Key, Reason, Timestamp, date, vary};
use bodega_store::Entry;
use bodega_store::entry::Kind;
use bodega_store::slice::SLICE_BYTES;
use bytes::Bytes;

use crate::exchange::{Exchange, HitFacts, Journey};
use crate::fetch::{BodyStream, FetchAnswer, FetchError, FetchRequest};
use crate::fill::LiveHead;
use crate::lead::Lead;
use crate::reader::Piece;
use crate::refresh;
use crate::step::Step;
use crate::tiers::Looked;
use crate::upstream::{self, Purpose};

/// A range that begins no further than this past what a fill has waits for it; others are asked from the origin.
const RANGE_REACH_BYTES: u64 = 4 << 20;

/// A part that was found where the whole was not.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) entry: Entry,
    run: Run,
    /// It has all that was asked for, but the origin has to be asked whether it still holds.
    covers: bool,
}

/// What the origin is asked for, where it is not simply the whole.
pub(crate) struct Plan {
    /// Under which key others may join.
    pub(crate) key: Key,
    ask: Ask,
    /// What the client wants: asked anew where a rest does not fit.
    wanted: Option<Requested>,
    held: Option<Held>,
}

#[derive(Clone, Copy)]
enum Ask {
    /// What the client wants.
    Wanted,
    /// The same, unless what is stored still holds.
    Changed,
    /// What the stored part lacks.
    Rest { span: Span, held_goes_first: bool },
}

/// What is to be done with an answer.
pub(crate) enum Checked {
    /// It is what any fill gets.
    Whole(FetchAnswer),
    /// A part, or the whole made of parts, to be kept.
    Part { answer: FetchAnswer, terms: Terms, key: Key, names: Vec<String>, run: Run },
    /// It is for the one who asked for it.
    Alone(FetchAnswer),
    /// It does not fit to what is stored, which has been dropped: ask this.
    Again(FetchRequest),
    /// It answers something that was not asked.
    Malformed(FetchError),
}

/// The run that a stored part holds; `None` for a whole answer.
pub(crate) fn run_of(entry: &Entry) -> Option<Run> {
    if entry.kind != Kind::Part {
        return None;
    }
    Run::parse(entry.first("content-range")?)
}

/// Looks for a part, once `lookup` has found no whole: the step to take if that decides it. Otherwise what was found is
/// in `exchange.part`.
pub(crate) fn find(exchange: &mut Exchange<'_>, reuse: impl FnOnce(&mut Exchange<'_>, Entry) -> Step) -> Option<Step> {
    let (worker, behavior) = (exchange.worker, exchange.behavior?);
    if exchange.request.method != "GET" {
        return None;
    }
    let edge = &worker.edge;
    let found = match exchange.look(partial::key(exchange.key)) {
        Looked::Here(entry) => Some(entry).filter(|entry| entry.kind == Kind::Part)?,
        Looked::OnDisk => return Some(exchange.load(partial::key(exchange.key))),
        Looked::Nowhere => return None,
    };
    let mut entry = edge.usable(found)?;
    if entry.revision != exchange.snapshot.revision {
        entry = refresh::under_revision(worker, exchange.snapshot, behavior, &exchange.paths.normal, &entry)?;
    }
    let run = run_of(&entry)?;
    if exchange.user_fields && !entry.terms.shared_explicit {
        return None;
    }
    let covers = covers(exchange.request, &entry, &run);
    if covers {
        let step = reuse(exchange, entry.clone());
        // Nobody is answered with a stale part while it is being validated: that would fetch a whole for nobody.
        let in_background = matches!(exchange.hit, Some(HitFacts { reason: Reason::WhileRevalidate, .. }));
        if step != Step::Revalidate && !(step == Step::Hit && in_background) {
            return Some(step);
        }
        exchange.entry = None;
        exchange.hit = None;
    }
    if !covers {
        exchange.reason = Reason::Range;
    }
    exchange.part = Some(Held { entry, run, covers });
    None
}

/// Whether a part has all that a request asks for.
fn covers<H: Head + ?Sized>(request: &H, entry: &Entry, run: &Run) -> bool {
    match range::decide(request, entry, run.total) {
        RangeDecision::Full => false,
        RangeDecision::Partial { first, last } => run.span.holds(&Span { first, last }),
        RangeDecision::Several(spans) => spans.iter().all(|span| run.span.holds(span)),
        RangeDecision::Unsatisfiable => true,
    }
}

/// What to ask the origin for. `None`: the whole, or to join the fill that is under way for it.
pub(crate) fn plan(journey: &Journey) -> Option<Plan> {
    let Journey { worker, request, pending, .. } = journey;
    if pending.content.is_some() {
        // RFC 9110 section 14.2: ranges are for GET.
        return None;
    }
    let policy = &pending.behavior.as_ref()?.policy;
    // Another variant than the one that was looked up has another part.
    let held = pending.part.clone().filter(|held| held.entry.key == partial::key(pending.key));
    let under_way = worker.edge.collapse.under_way(pending.key);
    let mut wanted = match range::requested(&request.fields) {
        Some(requested @ (Requested::From { .. } | Requested::Suffix { .. })) => Some(requested),
        _ => None,
    };
    if let Some(held) = &held
        && !range::if_range_holds(&request.fields, &held.entry)
    {
        // RFC 9110 section 13.1.5: then it is the whole that is asked for.
        wanted = None;
    }
    let covers = held.as_ref().is_some_and(|held| held.covers);
    if let Some(requested) = wanted
        && !covers
    {
        let total = held.as_ref().map(|held| held.run.total);
        let first = match (requested, total.and_then(|total| requested.of(total))) {
            (_, Some(span)) => span.first,
            (Requested::From { first, .. }, None) => first,
            _ => u64::MAX,
        };
        let is_near = match &under_way {
            Some(fill) => fill.is_near(first, RANGE_REACH_BYTES),
            None => first <= RANGE_REACH_BYTES && !partial::forwards_ranges(policy),
        };
        if is_near {
            wanted = None;
        }
    }
    if wanted.is_none() && !covers && (held.is_none() || under_way.is_some()) {
        return None;
    }
    if held.is_none()
        && worker.edge.disk().is_some()
        && let Some(Requested::From { first, last }) = &mut wanted
        && *first >= SLICE_BYTES as u64
    {
        // By whole slices: only those can be kept on disk.
        let n_bytes = SLICE_BYTES as u64;
        *first -= *first % n_bytes;
        *last = last.map(|last| last.saturating_add(n_bytes - last % n_bytes - 1));
    }
    let key = match wanted {
        None if !covers => pending.key,
        // What is asked about a stored part answers only those who ask for the same of it.
        _ => {
            let secret = &worker.edge.settings.secret;
            vary::variant(secret, partial::key(pending.key), ["range", "if-range"], &request.fields)
        }
    };
    let (ask, held) = match held {
        Some(held) if covers => (Ask::Changed, Some(held)),
        Some(held) => match rest(&held.run, wanted) {
            Some(ask) => (ask, Some(held)),
            None => (Ask::Wanted, None),
        },
        None => (Ask::Wanted, None),
    };
    if wanted.is_none() && held.is_none() {
        return None;
    }
    Some(Plan { key, ask, wanted, held })
}

/// The one piece that would complete what is wanted, where there is one.
fn rest(run: &Run, wanted: Option<Requested>) -> Option<Ask> {
    let wanted = match wanted {
        Some(wanted) => wanted.of(run.total)?,
        None => Span { first: 0, last: run.total - 1 },
    };
    match run.missing(&wanted) {
        Missing::After(span) => Some(Ask::Rest { span, held_goes_first: true }),
        Missing::Before(span) => Some(Ask::Rest { span, held_goes_first: false }),
        Missing::Nothing | Missing::Apart => None,
    }
}

impl Plan {
    /// What is stored and is asked about, as for a whole answer.
    pub(crate) fn previous(&self) -> Option<Entry> {
        matches!(self.ask, Ask::Changed).then(|| self.held.as_ref().map(|held| held.entry.clone())).flatten()
    }

    /// The stored part that is completed or asked about.
    pub(crate) fn held(&self) -> Option<&Entry> {
        self.held.as_ref().map(|held| &held.entry)
    }

    /// Whether it is a fill of a part, which answers nobody who asks for the whole.
    pub(crate) fn is_for_part(&self) -> bool {
        self.wanted.is_some() || matches!(self.ask, Ask::Changed)
    }

    /// Makes `fetch`, which asks for the whole, ask for a part.
    pub(crate) fn add_to(&self, fetch: &mut FetchRequest, request: &Fields) {
        let Some(held) = &self.held else {
            self.add_wanted(fetch, request);
            return;
        };
        match self.ask {
            // The validators of what is stored are added as for a whole.
            Ask::Wanted | Ask::Changed => self.add_wanted(fetch, request),
            Ask::Rest { span: Span { first, last }, .. } => {
                let last = (last + 1 < held.run.total).then_some(last);
                set_range(fetch, Requested::From { first, last });
                // Without a strong validator nothing can be put together: then only a 200 will do.
                if let Some(validator) = partial::strong_validator(&held.entry) {
                    fetch.fields.set("If-Range", validator);
                }
            }
        }
    }

    fn add_wanted(&self, fetch: &mut FetchRequest, request: &Fields) {
        let Some(wanted) = self.wanted else { return };
        set_range(fetch, wanted);
        if let Some(condition) = request.only("if-range") {
            fetch.fields.set("If-Range", condition);
        }
    }
}

pub(crate) fn set_range(fetch: &mut FetchRequest, requested: Requested) {
    let value = match requested {
        Requested::From { first, last: Some(last) } => format!("bytes={first}-{last}"),
        Requested::From { first, last: None } => format!("bytes={first}-"),
        Requested::Suffix { n_bytes } => format!("bytes=-{n_bytes}"),
        Requested::Several | Requested::Other => return,
    };
    fetch.fields.set("Range", value.as_bytes());
}

impl Lead {
    /// Whether `answer` is what was asked for, and what becomes of it.
    pub(crate) fn check(&mut self, answer: FetchAnswer, request_time: Timestamp, response_time: Timestamp) -> Checked {
        let Some(plan) = &self.plan else {
            if answer.status == 206 {
                return not_asked();
            }
            return Checked::Whole(answer);
        };
        match (plan.ask, &plan.held) {
            (Ask::Rest { span, held_goes_first }, Some(held)) if matches!(answer.status, 206 | 416) => {
                let held = held.clone();
                match self.join(&held, span, &answer, request_time, response_time) {
                    Some((terms, key, names, fields)) => {
                        // What came of a user's request stays that, whoever completes it.
                        self.facts.has_user_fields |= held.entry.for_user;
                        let run = Run { span: held.run.span.with(&span), total: held.run.total };
                        let body = Joined::new(&held, span, held_goes_first, answer.body);
                        let answer = FetchAnswer {
                            status: 200,
                            fields,
                            content_length: Some(run.span.n_bytes()),
                            body: Box::new(body),
                        };
                        Checked::Part { answer, terms, key, names, run }
                    }
                    None => self.ask_anew(),
                }
            }
            (_, held) => {
                if let Some(held) = held.as_ref().filter(|_| matches!(answer.status, 200 | 206)) {
                    // Changed, or an origin that ignores ranges: what comes now takes the place of what was stored.
                    self.worker.edge.remove(&held.entry);
                }
                if answer.status == 206 {
                    return self.take(answer, request_time, response_time);
                }
                Checked::Whole(answer)
            }
        }
    }

    /// What an answer that brings a rest makes of the stored part: the terms, the key and the fields of both together.
    /// `None` if it is anything but exactly what was asked for, of the same whole, and to be stored under the same key.
    fn join(
        &self,
        held: &Held,
        asked: Span,
        answer: &FetchAnswer,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Option<(Terms, Key, Vec<String>, Fields)> {
        if answer.status != 206 || !self.worker.edge.may_use(&held.entry) {
            return None;
        }
        let run = Run::of(&answer.fields, answer.content_length)?;
        let is_asked = run == Run { span: asked, total: held.run.total };
        if !is_asked || !partial::are_of_one_whole(&held.entry, &answer.fields) {
            return None;
        }
        let mut fields = partial::combined_fields(&held.entry, &answer.fields);
        if self.behavior.policy.strip_tags {
            // What is stored has its tags in its note alone.
            let tags: Vec<&str> = held.entry.note().tags().collect();
            fields.push("Cache-Tag", tags.join(",").as_bytes());
        }
        if !answer.fields.has("date") {
            // The date of what was stored would make the newer answer as old as that.
            fields.set("Date", &date::format(response_time));
        }
        let facts = RequestFacts::get(self.facts.has_user_fields || held.entry.for_user);
        let Storable::Yes(terms) = self.decide(&facts, 200, &fields, request_time, response_time) else {
            return None;
        };
        let (key, names) = self.variation(&fields)?;
        (partial::key(key) == held.entry.key).then_some((terms, key, names, fields))
    }

    /// A part that stands alone.
    fn take(&self, mut answer: FetchAnswer, request_time: Timestamp, response_time: Timestamp) -> Checked {
        let policy = &self.behavior.policy;
        let Some(wanted) = self.plan.as_ref().and_then(|plan| plan.wanted) else { return not_asked() };
        // Malformed or of unknown length: the client that asked reads for itself what it is (RFC 9110 section 15.3.7).
        let Some(run) = Run::of(&answer.fields, answer.content_length) else { return Checked::Alone(answer) };
        let is_trusted = run.is_within(wanted) && partial::strong_validator(&answer.fields).is_some();
        if !is_trusted && !partial::forwards_ranges(policy) {
            return Checked::Alone(answer);
        }
        // RFC 9111 section 3.3: stored as an incomplete 200.
        match self.decide(&self.facts, 200, &answer.fields, request_time, response_time) {
            Storable::Yes(terms) => match self.variation(&answer.fields) {
                Some((key, names)) => {
                    answer.fields.remove("content-range");
                    let n_bytes = run.span.n_bytes();
                    let body = Joined::alone(n_bytes, answer.body);
                    let fields = answer.fields;
                    let answer =
                        FetchAnswer { status: 200, fields, content_length: Some(n_bytes), body: Box::new(body) };
                    Checked::Part { answer, terms, key, names, run }
                }
                None => Checked::Alone(answer),
            },
            Storable::No(_) => Checked::Alone(answer),
        }
    }

    /// Drops the part and asks for what the client wants.
    fn ask_anew(&mut self) -> Checked {
        let mut fetch = upstream::request(&self.worker.edge.settings, &self.behavior, &self.request, Purpose::Store);
        if let Some(mut plan) = self.plan.take() {
            if let Some(held) = plan.held.take() {
                self.worker.edge.remove(&held.entry);
            }
            if plan.wanted.is_some() {
                plan.ask = Ask::Wanted;
                plan.add_to(&mut fetch, &self.request.fields);
                self.plan = Some(plan);
            }
        }
        Checked::Again(fetch)
    }
}

/// RFC 9110 section 15.3.7: 206 is only for a request with `Range`. Passed on, it would be taken for the whole.
fn not_asked() -> Checked {
    Checked::Malformed(FetchError::new(Reason::OriginMalformed, "the origin answered 206 to a request for the whole"))
}

impl Lead {
    /// Keeps what has come of a body that broke off, as a part (RFC 9111 section 3.3), unless more is stored already.
    pub(crate) fn keep_beginning(&self, head: &LiveHead, n_bytes: u64) {
        let Some(length) = head.content_length.filter(|length| n_bytes > 0 && n_bytes < *length) else { return };
        // Not by date: the one in the head may be the edge's own.
        if head.status != 200 || !head.fields.has("etag") || partial::strong_validator(&head.fields).is_none() {
            return;
        }
        let (first, total) = head.part.map_or((0, length), |run| (run.span.first, run.total));
        let run = Run { span: Span { first, last: first + n_bytes - 1 }, total };
        let stored = self.worker.edge.memory.peek(partial::key(head.key)).and_then(|entry| run_of(&entry));
        if stored.is_some_and(|stored| stored.span.n_bytes() >= n_bytes) {
            return;
        }
        let LiveHead { status, content_length, key, terms, .. } = *head;
        let head = LiveHead {
            status,
            fields: head.fields.clone(),
            withheld: Fields::new(),
            content_length,
            key,
            vary_names: Vec::new(),
            tags: head.tags.clone(),
            terms,
            stored: true,
            on_disk: None,
            part: Some(run),
            entry: None,
        };
        self.store_whole(&head, n_bytes);
    }
}

/// A fetched piece of known length, with what is stored before or behind it.
pub(crate) struct Joined {
    /// What of the stored bytes is still to come.
    stored: Option<(Entry, u64)>,
    stored_goes_first: bool,
    fetched: Box<dyn BodyStream>,
    left: u64,
    ended: bool,
}

impl Joined {
    fn new(held: &Held, asked: Span, held_goes_first: bool, fetched: Box<dyn BodyStream>) -> Self {
        let stored = Some((held.entry.clone(), 0));
        Self { stored, stored_goes_first: held_goes_first, fetched, left: asked.n_bytes(), ended: false }
    }

    pub(crate) fn alone(n_bytes: u64, fetched: Box<dyn BodyStream>) -> Self {
        Self { stored: None, stored_goes_first: false, fetched, left: n_bytes, ended: false }
    }

    fn next_stored(&mut self) -> Option<Bytes> {
        let (entry, position) = self.stored.as_mut()?;
        match Piece::of_entry(entry, *position, u64::MAX) {
            Some(piece) => {
                *position += piece.as_ref().len() as u64;
                Some(Bytes::from_owner(piece))
            }
            None => {
                self.stored = None;
                None
            }
        }
    }
}

impl BodyStream for Joined {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        if (self.stored_goes_first || self.ended)
            && let Some(piece) = self.next_stored()
        {
            return Poll::Ready(Some(Ok(piece)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.fetched.poll_chunk(context);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) if chunk.len() as u64 > self.left => {
                let error = FetchError::new(Reason::OriginMalformed, "a part is longer than its `Content-Range` says");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(chunk))) => {
                self.left -= chunk.len() as u64;
                polled
            }
            Poll::Ready(None) if self.left > 0 => {
                let error = FetchError::new(Reason::OriginMalformed, "a part is shorter than its `Content-Range` says");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(self.next_stored().map(Ok))
            }
            _ => polled,
        }
    }
}
