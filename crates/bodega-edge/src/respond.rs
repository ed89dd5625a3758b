//! Turns what was found into an answer: conditions, ranges, HEAD, `Age`, `Via`, `Cache-Status`, the behavior's edits.
//!
//! The same rules for a stored entry, a fill that is being read along, and an answer for one client alone; used by
//! the steps `hit`, `deliver`, `redirect` and `refuse`.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};

use bodega_semantics::cache_status::{self, Forwarded};
use bodega_semantics::conditional::{self, Conditional};
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::Run;
use bodega_semantics::range::{self, RangeDecision};
use bodega_semantics::{Fields, Head, Outcome, Reason, Timestamp, tags};
use bodega_snapshot::Behavior;
use bodega_store::Entry;
use bytes::Bytes;

use crate::answer::{Answer, AnswerHead, BodyPlan};
use crate::assembled::{Parts, Source};
use crate::body_reader::BodyReader;
use crate::edge::Edge;
use crate::fetch::{BodyStream, FetchAnswer, FetchError};
use crate::fill::LiveHead;
use crate::partial;
use crate::reader::FillReader;

pub(crate) use bodega_http1::write::write_status_line;

/// What is said about how the answer came about.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    pub(crate) fwd_status: Option<u16>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    /// Seconds of freshness left; negative when stale.
    pub(crate) ttl_seconds: Option<i64>,
}

/// Whom the answer is for, under which behavior, and when.
pub(crate) struct For<'a, H: Head + ?Sized> {
    pub(crate) edge: &'a Edge,
    pub(crate) behavior: &'a Behavior,
    pub(crate) method: &'a str,
    pub(crate) request: &'a H,
    pub(crate) now: Timestamp,
}

/// From a stored entry.
pub(crate) fn from_entry<H: Head + ?Sized>(client: &For<'_, H>, entry: Entry, said: Said) -> Answer {
    let &For { edge, behavior, method, request, now } = client;
    let run = partial::run_of(&entry);
    let n_bytes = entry.body().len();
    let offset = run.map_or(0, |run| run.span.first);
    let shape = shape(method, request, entry.status, &entry, Some(n_bytes), run);
    let mut fields = shape.fields(&entry);
    let said = Said { ttl_seconds: Some(ttl_seconds(entry.terms.expires, now)), ..said };
    finish_fields(edge, behavior, &mut fields, Some(now.since(entry.terms.born).as_secs()), &said);
    let (from, to) = shape.span(n_bytes);
    let body = match &shape {
        Shape::NotModified | Shape::Failed | Shape::Unsatisfiable(_) => BodyPlan::Empty,
        Shape::Whole | Shape::Part { .. } if method == "HEAD" => BodyPlan::Empty,
        Shape::Parts(parts) => assembled(parts, Source::Stored(entry.clone()), offset),
        Shape::Whole | Shape::Part { .. } => {
            BodyPlan::Stored { entry: entry.clone(), from: from - offset, to: to - offset }
        }
    };
    Answer {
        status: shape.status(entry.status),
        head: AnswerHead::Built(fields),
        content_length: shape.content_length(from, to, entry.status),
        body,
        outcome: said.outcome,
        reason: said.reason,
    }
}

fn assembled(parts: &Parts, source: Source, offset: u64) -> BodyPlan {
    BodyPlan::Read(BodyReader::Assembled(Box::new(parts.body(source, offset))))
}

/// From a fill that is being read along.
pub(crate) fn from_live<H: Head + ?Sized>(
    client: &For<'_, H>,
    mut reader: FillReader,
    head: &Arc<LiveHead>,
    said: Said,
) -> Answer {
    let &For { edge, behavior, method, request, now } = client;
    let total = head.content_length;
    let offset = head.part.map_or(0, |run| run.span.first);
    let shape = match shape(method, request, head.status, &head.fields, total, head.part) {
        // What is not kept passes by once: parts may ask for its end before its beginning.
        Shape::Parts(_) if !head.stored => Shape::Whole,
        shape => shape,
    };
    let mut fields = shape.fields(&head.fields);
    let age = now.since(head.terms.born).as_secs();
    let said = Said { stored: head.stored && said.outcome == Outcome::Miss, ..said };
    finish_fields(edge, behavior, &mut fields, Some(age), &said);
    let (from, to) = shape.span(total.unwrap_or(u64::MAX));
    let body = match &shape {
        Shape::NotModified | Shape::Failed | Shape::Unsatisfiable(_) => BodyPlan::Empty,
        Shape::Whole | Shape::Part { .. } if method == "HEAD" => BodyPlan::Empty,
        Shape::Parts(parts) => assembled(parts, Source::Live(reader), offset),
        Shape::Whole => BodyPlan::Read(BodyReader::Live(reader)),
        Shape::Part { .. } => {
            reader.narrow(from - offset, to - offset);
            BodyPlan::Read(BodyReader::Live(reader))
        }
    };
    let content_length = match shape {
        Shape::Whole if head.status != 204 => total,
        _ => shape.content_length(from, to, head.status),
    };
    Answer {
        status: shape.status(head.status),
        head: AnswerHead::Built(fields),
        content_length,
        body,
        outcome: said.outcome,
        reason: said.reason,
    }
}

/// The same with the fields that are for this client alone, where it gets the answer itself.
pub(crate) fn with_own_fields(mut answer: Answer, head: &LiveHead) -> Answer {
    if let AnswerHead::Built(fields) = &mut answer.head
        && (answer.status == head.status || answer.status == 206)
    {
        for field in head.withheld.fields() {
            fields.push(field.name, field.value);
        }
    }
    answer
}

/// From an origin's answer that is for this client alone.
pub(crate) fn from_origin(
    edge: &Edge,
    behavior: &Arc<Behavior>,
    method: &str,
    answer: FetchAnswer,
    said: Said,
) -> Answer {
    let mut fields = answer.fields;
    finish_fields(edge, behavior, &mut fields, None, &said);
    let no_body = method == "HEAD" || matches!(answer.status, 204 | 304);
    Answer {
        status: answer.status,
        head: AnswerHead::Built(fields),
        content_length: if answer.status == 204 { None } else { answer.content_length },
        body: if no_body { BodyPlan::Empty } else { BodyPlan::Stream(edited(answer.body, behavior)) },
        outcome: said.outcome,
        reason: said.reason,
    }
}

/// The body, with trailer fields that the behavior edits as it does those of the head.
fn edited(body: Box<dyn BodyStream>, behavior: &Arc<Behavior>) -> Box<dyn BodyStream> {
    if behavior.response_edits.is_empty() {
        return body;
    }
    Box::new(Edited { body, behavior: Arc::clone(behavior) })
}

struct Edited {
    body: Box<dyn BodyStream>,
    behavior: Arc<Behavior>,
}

impl BodyStream for Edited {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.body.poll_chunk(context)
    }

    fn trailers(&mut self) -> Option<Fields> {
        let mut fields = self.body.trailers()?;
        fields.retain(|field| !self.behavior.response_edits.names(field.name));
        Some(fields)
    }
}

/// A short answer of the edge's own.
pub(crate) fn own(
    status: u16,
    mut fields: Fields,
    body: Bytes,
    method: &str,
    outcome: Outcome,
    reason: Reason,
) -> Answer {
    if !fields.has("content-type") && !body.is_empty() {
        fields.push("Content-Type", b"text/plain; charset=utf-8");
    }
    Answer {
        status,
        head: AnswerHead::Built(fields),
        content_length: if status == 204 { None } else { Some(body.len() as u64) },
        body: if method == "HEAD" || body.is_empty() { BodyPlan::Empty } else { BodyPlan::Bytes(body) },
        outcome,
        reason,
    }
}

/// Adds what every answer carries to one that the edge made.
pub(crate) fn sign(answer: &mut Answer, edge: &Edge, behavior: Option<&Behavior>) {
    let AnswerHead::Built(fields) = &mut answer.head else { return };
    let mut value = Vec::with_capacity(48);
    cache_status::write_detail(&mut value, &edge.settings.name, answer.reason.name());
    fields.push("Cache-Status", &value);
    if let Some(behavior) = behavior {
        behavior.response_edits.apply(fields);
    }
}

/// Which form of the whole answer this client gets.
enum Shape {
    Whole,
    Part { first: u64, last: u64, total: u64 },
    Parts(Parts),
    Unsatisfiable(u64),
    NotModified,
    Failed,
}

/// `n_bytes` is the length of the body at hand, if it is known, and `run` which part of the whole that is.
fn shape<Q, S>(method: &str, request: &Q, status: u16, stored: &S, n_bytes: Option<u64>, run: Option<Run>) -> Shape
where
    Q: Head + ?Sized,
    S: Head + ?Sized,
{
    match conditional::evaluate(method, request, status, stored) {
        Conditional::NotModified => return Shape::NotModified,
        Conditional::Failed => return Shape::Failed,
        Conditional::Full => {}
    }
    let holds = |span: Span| run.is_none_or(|run| run.span.holds(&span));
    match run.map(|run| run.total).or(n_bytes) {
        // RFC 9110 section 14.2: ranges are for GET; only a 200 has parts.
        Some(total) if method == "GET" && status == 200 => match range::decide(request, stored, total) {
            RangeDecision::Full if run.is_none() => Shape::Whole,
            RangeDecision::Partial { first, last } if holds(Span { first, last }) => Shape::Part { first, last, total },
            RangeDecision::Several(spans) if spans.iter().copied().all(holds) => {
                Shape::Parts(Parts::new(spans, stored.first("content-type"), total))
            }
            RangeDecision::Unsatisfiable => Shape::Unsatisfiable(total),
            // The origin sent another part than it was asked for: so does the edge (RFC 9110 section 15.3.7).
            _ => match run {
                Some(Run { span: Span { first, last }, total }) => Shape::Part { first, last, total },
                None => Shape::Whole,
            },
        },
        _ => Shape::Whole,
    }
}

impl Shape {
    fn status(&self, status: u16) -> u16 {
        match self {
            Self::Whole => status,
            Self::Part { .. } | Self::Parts(_) => 206,
            Self::Unsatisfiable(_) => 416,
            Self::NotModified => 304,
            Self::Failed => 412,
        }
    }

    fn span(&self, total: u64) -> (u64, u64) {
        match self {
            Self::Part { first, last, .. } => (*first, last + 1),
            _ => (0, total),
        }
    }

    const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }

    fn content_length(&self, from: u64, to: u64, status: u16) -> Option<u64> {
        match self {
            Self::NotModified => None,
            Self::Failed | Self::Unsatisfiable(_) => Some(0),
            Self::Parts(parts) => Some(parts.n_bytes()),
            Self::Whole | Self::Part { .. } if status == 204 => None,
            Self::Whole | Self::Part { .. } => Some(to - from),
        }
    }

    fn fields<S: Head + ?Sized>(&self, stored: &S) -> Fields {
        let mut fields = Fields::with_capacity(512);
        for field in stored.fields() {
            // A stored part's range is not the client's. In a whole answer the field means nothing and goes on as it is
            // (RFC 9110 section 14.4).
            let is_range = field.name.eq_ignore_ascii_case("content-range");
            let framing = field.name.eq_ignore_ascii_case("content-length") || (is_range && !self.is_whole());
            let keep = match self {
                Self::NotModified => conditional::is_not_modified_field(field.name),
                Self::Failed | Self::Unsatisfiable(_) => field.name.eq_ignore_ascii_case("date"),
                Self::Whole => true,
                Self::Part { .. } => !range::is_about_content(field.name),
                Self::Parts(_) => {
                    !range::is_about_content(field.name) && !field.name.eq_ignore_ascii_case("content-type")
                }
            };
            if keep && !framing {
                fields.push(field.name, field.value);
            }
        }
        match self {
            Self::Part { first, last, total } => {
                fields.set("Content-Range", format!("bytes {first}-{last}/{total}").as_bytes());
            }
            Self::Parts(parts) => fields.push("Content-Type", &parts.answer_type()),
            Self::Unsatisfiable(total) => fields.set("Content-Range", format!("bytes */{total}").as_bytes()),
            _ => {}
        }
        fields
    }
}

fn finish_fields(edge: &Edge, behavior: &Behavior, fields: &mut Fields, age_seconds: Option<u64>, said: &Said) {
    // RFC 9110 section 7.6.3: every gateway adds itself, after those before it.
    fields.push("Via", edge.via().as_bytes());
    if let Some(age_seconds) = age_seconds {
        fields.set("Age", age_seconds.to_string().as_bytes());
    }
    let mut value = Vec::with_capacity(64);
    write_cache_status(&mut value, &edge.settings.name, said);
    fields.push("Cache-Status", &value);
    if behavior.policy.strip_tags {
        tags::strip(fields);
    }
    behavior.response_edits.apply(fields);
}

pub(crate) fn write_cache_status(out: &mut Vec<u8>, name: &str, said: &Said) {
    let ttl = said.ttl_seconds.unwrap_or(0);
    match (said.outcome, said.reason) {
        (Outcome::Hit, _) => return cache_status::write_hit(out, name, ttl.unsigned_abs()),
        (Outcome::Stale, Reason::WhileRevalidate | Reason::RequestDirective) => {
            return cache_status::write_stale_hit(out, name, ttl.unsigned_abs(), said.reason.name());
        }
        _ => {}
    }
    let fwd = cache_status::fwd_token(said.reason);
    cache_status::write_forwarded(
        out,
        &Forwarded {
            name,
            fwd,
            fwd_status: said.fwd_status,
            stored: said.stored,
            collapsed: said.collapsed,
            ttl: said.ttl_seconds.filter(|_| said.outcome == Outcome::Stale),
            detail: (fwd != said.reason.name()).then(|| said.reason.name()),
        },
    );
}

fn ttl_seconds(expires: Timestamp, now: Timestamp) -> i64 {
    if expires > now {
        i64::try_from((expires.0 - now.0).div_ceil(1000)).unwrap_or(i64::MAX)
    } else {
        -i64::try_from(now.since(expires).as_secs()).unwrap_or(i64::MAX)
    }
}

/// The text of an answer made by the edge.
pub(crate) fn explain(status: u16, what: &str, id: &str) -> Bytes {
    let phrase: Cow<'_, str> = bodega_http1::write::reason_phrase(status).into();
    Bytes::from(format!("{status} {phrase}: {what}\nrequest {id}\n"))
}
