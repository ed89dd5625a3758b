//! Writes one answer of what was found for the rows of a question, or says why there is none.

use std::task::{Context, Poll};

use bodega_http1::write::write_decimal;
use bodega_semantics::{Fields, Head, Outcome, Reason, cache_status};
use bodega_snapshot::Behavior;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::answer::{Answer, BodyPlan};
use crate::edge::Worker;
use crate::fetch::{BodyStream, FetchError, OnePiece};
use crate::held::{MAX_WRITTEN_BYTES, Room};
use crate::predict::{Answered, Question, Refused, Rendered};
use crate::questioned;
use crate::respond;
use crate::rows::{RowAnswer, Told};

/// What writes the one answer.
pub(crate) struct Writing<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) behavior: &'a Behavior,
    pub(crate) method: &'static str,
}

impl Writing<'_> {
    /// One answer for all rows, under what is said of the first that was not stored, or that has none. `room`: what is
    /// held for it already.
    pub(crate) fn answer(&self, question: &dyn Question, rows: &[RowAnswer], room: Option<Room>) -> Answer {
        let failed_at = rows.iter().position(|row| row.status != 200);
        let failed = failed_at.and_then(|at| rows.get(at));
        let told = failed.or_else(|| rows.iter().find(|row| !row.is_cached())).or_else(|| rows.first());
        let mut fields = Fields::with_capacity(512);
        // Without a row nothing was asked.
        let (mut status, mut outcome, mut reason) = (200, Outcome::Pass, Reason::Method);
        match told {
            Some(row) => {
                (status, outcome, reason) = (row.status, row.outcome, row.reason);
                self.say(&row.told, &mut fields);
            }
            None => self.say_detail(reason, &mut fields),
        }
        let rendered = match failed {
            Some(row) => {
                let text = String::from_utf8_lossy(row.body.as_bytes());
                match explanation(row) {
                    Some(what) => question.render_failure(status, what, None),
                    // The model said it of this row.
                    None => question.render_failure(status, text.lines().next().unwrap_or_default(), failed_at),
                }
            }
            None => {
                let answered = |row: &'_ RowAnswer| row.is_cached();
                let answers: SmallVec<[Answered<'_>; 1]> =
                    rows.iter().map(|row| Answered { body: row.body.as_bytes(), is_cached: answered(row) }).collect();
                match question.render(&answers) {
                    Ok(rendered) if rendered.body.len() as u64 > MAX_WRITTEN_BYTES => {
                        return self.too_large(question, usize::try_from(MAX_WRITTEN_BYTES).unwrap_or(usize::MAX));
                    }
                    Ok(rendered) => match self.hold(rendered, room) {
                        Some(rendered) => rendered,
                        None => return self.no_room(question),
                    },
                    Err(not_rendered) => {
                        status = not_rendered.status;
                        question.render_failure(status, &not_rendered.what, None)
                    }
                }
            }
        };
        self.finish(status, fields, rendered, (outcome, reason))
    }

    /// Counts what has been written until it has been sent. `None`: there is no more room.
    fn hold(&self, mut rendered: Rendered, room: Option<Room>) -> Option<Rendered> {
        if rendered.body.len() <= MAX_BYTES_HERE {
            return Some(rendered);
        }
        let mut room = room.unwrap_or_else(|| self.worker.edge.held_answers.room(MAX_WRITTEN_BYTES));
        if !room.set(rendered.body.len() as u64) {
            return None;
        }
        rendered.body = room.around(rendered.body);
        Some(rendered)
    }

    fn say(&self, told: &Told, fields: &mut Fields) {
        let name = &self.worker.edge.settings.name;
        match told {
            Told::Hit { age_seconds, ttl_seconds } => {
                fields.push_by("Age", |value| write_decimal(value, *age_seconds));
                fields.push_by("Cache-Status", |value| cache_status::write_hit(value, name, *ttl_seconds));
            }
            Told::Failed(said) => {
                fields.push("Cache-Control", b"no-store");
                fields.push_by("Cache-Status", |value| respond::write_cache_status(value, name, said));
            }
            Told::Made { age_seconds, said } => {
                if let Some(age_seconds) = age_seconds {
                    fields.push_by("Age", |value| write_decimal(value, *age_seconds));
                }
                fields.push_by("Cache-Status", |value| respond::write_cache_status(value, name, said));
            }
            Told::Fields(lines) => {
                for field in lines.fields() {
                    fields.push(field.name, field.value);
                }
            }
        }
    }

    /// The client waits no longer.
    pub(crate) fn late(&self, question: &dyn Question) -> Answer {
        let what = "not all was answered within the time that the request allows";
        let rendered = question.render_failure(504, what, None);
        let fields = self.told(Reason::OriginTimeout);
        self.finish(504, fields, rendered, (Outcome::Error, Reason::OriginTimeout))
    }

    /// Others are being written and sent, and take all the room there is.
    pub(crate) fn no_room(&self, question: &dyn Question) -> Answer {
        let rendered = question.render_failure(503, "too much of other answers of models is under way", None);
        let mut fields = self.told(Reason::OriginBusy);
        fields.push("Retry-After", b"1");
        self.finish(503, fields, rendered, (Outcome::Error, Reason::OriginBusy))
    }

    /// More than the `most` bytes that one answer may hold.
    pub(crate) fn too_large(&self, question: &dyn Question, most: usize) -> Answer {
        let most = most >> 20;
        // That of one row is nothing that the client could ask for in another way.
        let (status, outcome, reason, what) = match question.rows().len() {
            1 => (502, Outcome::Error, Reason::OriginMalformed, format!("the prediction is larger than {most} MiB")),
            n_rows => {
                let what = format!(
                    "the predictions of these {n_rows} rows are more than {most} MiB together: ask for fewer at once"
                );
                (413, Outcome::Refused, Reason::Limit, what)
            }
        };
        let rendered = question.render_failure(status, &what, None);
        self.finish(status, self.told(reason), rendered, (outcome, reason))
    }

    pub(crate) fn refuse(&self, refused: Refused) -> Answer {
        let reason = if refused.status == 413 { Reason::Limit } else { Reason::Malformed };
        let mut fields = self.told(reason);
        if refused.status == 405 && !refused.told.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("allow")) {
            fields.push("Allow", b"POST");
        }
        self.finish(refused.status, fields, refused.told, (Outcome::Refused, reason))
    }

    /// A question that was not read.
    pub(crate) fn unread<H: Head + ?Sized>(&self, head: &H, error: &FetchError) -> Answer {
        let edge = &self.worker.edge;
        let (status, rendered) = questioned::told(head, error);
        let mut fields = self.told(error.reason);
        let id = edge.next_request_id();
        fields.push("X-Request-Id", id.as_bytes());
        if let Some(seconds) = error.retry_after_seconds {
            fields.push_by("Retry-After", |value| write_decimal(value, seconds.into()));
        }
        edge.report_failure(&id, error.reason, &error.message);
        let outcome = if status < 500 { Outcome::Refused } else { Outcome::Error };
        self.finish(status, fields, rendered, (outcome, error.reason))
    }

    /// What is said of an answer that is made of no row.
    fn told(&self, reason: Reason) -> Fields {
        let mut fields = Fields::new();
        fields.push("Cache-Control", b"no-store");
        self.say_detail(reason, &mut fields);
        fields
    }

    fn say_detail(&self, reason: Reason, fields: &mut Fields) {
        let name = &self.worker.edge.settings.name;
        fields.push_by("Cache-Status", |value| cache_status::write_detail(value, name, reason.name()));
    }

    fn finish(
        &self,
        status: u16,
        mut fields: Fields,
        rendered: Rendered,
        (outcome, reason): (Outcome, Reason),
    ) -> Answer {
        for (name, value) in &rendered.fields {
            fields.push(name, value.as_bytes());
        }
        fields.push("Content-Type", rendered.content_type.as_bytes());
        fields.push("Via", self.worker.edge.via().as_bytes());
        self.behavior.response_edits.apply(&mut fields);
        let status = rendered.status.unwrap_or(status);
        if rendered.trailers.is_empty() {
            return respond::own(status, fields, rendered.body, self.method, outcome, reason);
        }
        let mut trailers = Fields::new();
        for (name, value) in &rendered.trailers {
            trailers.push(name, value.as_bytes());
        }
        let mut answer = respond::own(status, fields, Bytes::new(), self.method, outcome, reason);
        answer.content_length = None;
        answer.body = BodyPlan::Stream(Box::new(Trailed { piece: OnePiece(Some(rendered.body)), trailers }));
        answer
    }
}

/// What is said to the client of a model that gave no answer; `None` if it said why itself. More than this is for the log.
fn explanation(row: &RowAnswer) -> Option<&'static str> {
    match (row.status, row.reason) {
        (503, Reason::OriginDown) => Some("the model does not run; if it can be, it is being started again"),
        (503, Reason::OriginBusy) => Some("too much waits for the model"),
        (504, Reason::OriginTimeout) => Some("the model did not answer in time"),
        _ => None,
    }
}

/// A body that is there already, and what is said behind it.
struct Trailed {
    piece: OnePiece,
    trailers: Fields,
}

impl BodyStream for Trailed {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.piece.poll_chunk(context)
    }

    fn trailers(&mut self) -> Option<Fields> {
        Some(std::mem::take(&mut self.trailers))
    }
}

/// What is larger is written on another thread: of this much it takes less than a millisecond, or some if it is packed.
pub(crate) const MAX_BYTES_HERE: usize = 64 << 10;
