//! The stored body under another head: after a 304, and under a new configuration.

use bodega_semantics::conditional::weak_match;
use bodega_semantics::partial;
use bodega_semantics::storable::{self, RequestFacts, Storable, Terms};
use bodega_semantics::tags::{self, NotTaggable};
use bodega_semantics::{Fields, Head, Outcome, Reason, Timestamp, date, deception};
use bodega_snapshot::{Behavior, Snapshot};
use bodega_store::entry::{Kind, NewEntry};
use bodega_store::{Entry, Note};

use crate::edge::Worker;
use crate::fetch::FetchAnswer;
use crate::lead::{self, Lead};

/// The entry as it is under the configuration in force: its terms computed anew from what the origin said.
/// `None` if it may not be stored any more; it is gone then.
pub(crate) fn under_revision(
    worker: &Worker,
    snapshot: &Snapshot,
    behavior: &Behavior,
    path: &str,
    entry: &Entry,
) -> Option<Entry> {
    let mut fields = Fields::copy_of(entry);
    // The age at storing is in `born`; with the time of arrival as both times nothing is added to it again.
    let arrived = entry.first("date").and_then(date::parse).unwrap_or(entry.terms.born);
    fields.remove("age");
    let facts = RequestFacts::get(entry.for_user);
    let policy = &behavior.policy;
    let decided = if policy.check_content_type && deception::contradicts(path, entry.status, &fields) {
        Storable::No(Reason::Deception)
    } else {
        storable::decide(&facts, entry.status, &fields, policy, arrived, arrived)
    };
    // What the origin named when it was stored, and what the policy gives now.
    let (host, path, _) = entry.note().url_parts();
    let tags = tags::of(&fields, &policy.tags, host, path).and_then(|mut found| {
        tags::add_all(&mut found, entry.note().tags())?;
        Ok(found)
    });
    match (decided, tags) {
        (Storable::Yes(terms), Ok(tags)) => {
            let lifetime = terms.expires.since(terms.born);
            let note = entry.note();
            let expires = entry.terms.born.plus(lifetime);
            // What expired by an invalidation is not made fresh by a configuration, nor given windows that it took away.
            let expires = if note.is_softened() { expires.min(entry.terms.expires) } else { expires };
            let must_revalidate = terms.must_revalidate || note.is_unconfirmed();
            let terms = Terms { born: entry.terms.born, expires, must_revalidate, ..terms };
            let mut tagged = note.with_tags(tags.iter().map(String::as_str));
            if note.is_softened() {
                tagged = Note(&tagged).softened();
            }
            if note.is_unconfirmed() {
                tagged = Note(&tagged).unconfirmed();
            }
            let status_line = status_line(entry);
            let strips = policy.strip_tags && tags::names_any(entry);
            tags::strip(&mut fields);
            let block = if strips { fields.as_block() } else { entry.block().0 };
            let fresh = entry.with_head(&NewEntry {
                key: entry.key,
                stamp: entry.stamp,
                terms,
                revision: snapshot.revision,
                kind: entry.kind,
                status: entry.status,
                for_user: entry.for_user,
                status_line: &status_line,
                block,
                note: &tagged,
            });
            fresh.set_checked(entry.checked());
            let memory = &worker.edge.memory;
            fresh.set_ahead_of_disk(entry.is_ahead_of_disk());
            if !memory.replace(entry, fresh.clone()) && memory.peek(entry.key).is_none() {
                // It has come from disk.
                memory.insert(fresh.clone());
            }
            worker.edge.usable(fresh)
        }
        _ => {
            worker.edge.remove(entry);
            None
        }
    }
}

impl Lead {
    /// A 304: the stored body under an updated head (RFC 9111 sections 3.2 and 4.3.4).
    pub(crate) fn refresh(
        self,
        previous: &Entry,
        answer: &FetchAnswer,
        request_time: Timestamp,
        response_time: Timestamp,
    ) {
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
        // What a 304 brings for this client alone is not kept either; who asks gets it with the next whole answer.
        lead::withhold(&mut fields);
        let tags = self.tags_after_304(previous, &answer.fields);
        if self.behavior.policy.strip_tags {
            tags::strip(&mut fields);
        }
        let mut with_age = fields.clone();
        if let Some(age) = answer.fields.first("age") {
            with_age.push("Age", age);
        }
        // The body stays what a user's request once brought, whoever asks whether it still holds.
        let for_user = self.facts.has_user_fields || previous.for_user;
        let facts = RequestFacts::get(for_user);
        let decided = self.decide(&facts, previous.status, &with_age, request_time, response_time);
        // The new answer may vary by other fields. A part stays where parts are looked for, if that is still right.
        let place = match previous.kind {
            Kind::Part => self
                .variation(&fields)
                .filter(|(key, _)| partial::key(*key) == previous.key)
                .map(|_| (previous.key, Vec::new())),
            _ => self.variation(&fields),
        };
        let (terms, place) = match decided {
            Storable::Yes(terms) if tags.is_ok() => (terms, place),
            // The origin no longer wants it stored: this once it answers the one who asked, then it is gone.
            Storable::Yes(_) | Storable::No(_) => {
                (Terms { born: response_time, expires: response_time, ..previous.terms }, None)
            }
        };
        let is_for_all = place.is_some();
        let status_line = status_line(previous);
        let note = previous.note().with_tags(tags.iter().flatten().map(String::as_str));
        let under = |key| {
            previous.with_head(&NewEntry {
                key,
                stamp: self.fill.stamp,
                terms,
                revision: self.snapshot.revision,
                kind: previous.kind,
                status: previous.status,
                for_user,
                status_line: &status_line,
                block: fields.as_block(),
                note: &note,
            })
        };
        let entry = under(place.as_ref().map_or(previous.key, |(key, _)| *key));
        if entry.key != previous.key {
            if self.previous.is_none() {
                // Another request's answer, found to be this one's as well: both are fresh now.
                self.store(under(previous.key));
            } else {
                self.worker.edge.remove(previous);
            }
        }
        match place {
            Some((key, names)) => {
                if !names.is_empty() {
                    self.remember_variant(&names, key, terms.born);
                }
                self.store_refreshed(entry.clone());
            }
            None => self.worker.edge.remove(previous),
        }
        self.resolve_entry(entry, Outcome::Revalidated, self.reason_of_revalidation(previous), Some(304), is_for_all);
    }

    /// A 304 that names tags names all of them; one that names none leaves what there is.
    fn tags_after_304(&self, previous: &Entry, fields: &Fields) -> Result<Vec<String>, NotTaggable> {
        let mut found = self.tags(fields)?;
        if !tags::names_any(fields) {
            tags::add_all(&mut found, previous.note().tags())?;
        }
        Ok(found)
    }

    /// Which stored answer a 304 confirms (RFC 9111 section 4.3.4): the one with its entity tag; without a tag the only
    /// one that was asked about.
    pub(crate) fn selected_by(&self, answer: &FetchAnswer) -> Option<Entry> {
        let mut asked = self.previous.iter().filter(|previous| lead::has_validator(previous)).chain(&self.offered);
        if !self.asks_whether {
            return None;
        }
        match answer.fields.first("etag") {
            Some(tag) => {
                let is_same = |held: &[u8]| held == tag || (tag.starts_with(b"W/") && weak_match(held, tag));
                // What was asked about by its date alone may have got a tag since.
                asked.find(|entry| entry.first("etag").is_none_or(is_same)).cloned()
            }
            None => asked.next().filter(|_| asked.next().is_none()).cloned(),
        }
    }

    fn reason_of_revalidation(&self, previous: &Entry) -> Reason {
        if self.previous.is_none() {
            return Reason::VaryMiss;
        }
        if previous.terms.always_validate { Reason::MustRevalidate } else { Reason::Expired }
    }
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
