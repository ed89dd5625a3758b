//! Which variants of a URL are stored: kept in one small entry under the key before variation, bounded.
//!
//! The entry (`Kind::VaryNames`) holds the names that answers vary by, one a line, an empty line, and a record for each
//! variant. Nothing on the way of a hit reads the records: the names alone lead to the variant's key.

use bodega_semantics::storable::Terms;
use bodega_semantics::vary::{self, Vary};
use bodega_semantics::{Fields, Head, Key, Timestamp};
use bodega_snapshot::Behavior;
use bodega_store::entry::Kind;
use bodega_store::{Body, Entry};

use crate::edge::Edge;
use crate::lead::Lead;
use crate::upstream;

/// The most variants of one URL. One more takes the place of the one that was stored first.
const MAX_VARIANTS: usize = 128;
/// The most validators that one request offers to the origin.
const MAX_OFFERED: usize = 8;

/// The key under which the answer to `request` is stored if it has these fields, and the names it varies by.
/// `None`: it varies by something nobody can compare: `*`, or what the edge itself tells the origin of each client.
pub(crate) fn place<R, Q>(
    edge: &Edge,
    behavior: &Behavior,
    primary: Key,
    response: &R,
    request: &Q,
) -> Option<(Key, Vec<String>)>
where
    R: Head + ?Sized,
    Q: Head + ?Sized,
{
    match vary::parse(response) {
        Vary::Star => None,
        Vary::None => Some((primary, Vec::new())),
        Vary::Names(names) if names.iter().any(|name| upstream::is_made_for_each(behavior, name)) => None,
        Vary::Names(mut names) => {
            names.retain(|name| name != upstream::SCHEME_FIELD);
            // Nothing can depend on what the origin has not been told. By the letter, `Vary` counts all the same.
            if !behavior.policy.mode.is_rfc() {
                names.retain(|name| upstream::reaches_origin(behavior, name));
            }
            if names.is_empty() {
                return Some((primary, names));
            }
            Some((vary::variant(&edge.settings.secret, primary, &names, request), names))
        }
    }
}

/// A record: the variant's key, and a hash of what was asked for but for the language.
const RECORD_BYTES: usize = 16 + 8;

/// The contents of an entry of kind `VaryNames`.
#[derive(Clone, Copy)]
pub(crate) struct Variants<'e> {
    names: &'e str,
    records: &'e [u8],
}

impl<'e> Variants<'e> {
    /// Reads an entry.
    pub(crate) fn of(entry: &'e Entry) -> Self {
        const NOTHING: Variants<'static> = Variants { names: "", records: b"" };
        let Body::Inline(bytes) = entry.body() else { return NOTHING };
        let n_bytes = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
        let (names, records) = bytes.split_at(n_bytes);
        Self { names: std::str::from_utf8(names).unwrap_or_default(), records: records.get(2..).unwrap_or_default() }
    }

    /// The names of the request fields that answers vary by.
    pub(crate) fn names(self) -> impl Iterator<Item = &'e str> {
        self.names.split('\n').filter(|name| !name.is_empty())
    }

    /// The keys of the variants.
    pub(crate) fn keys(self) -> impl Iterator<Item = Key> {
        self.records().map(|(key, _)| key)
    }

    fn records(self) -> impl Iterator<Item = (Key, u64)> {
        self.records.chunks_exact(RECORD_BYTES).map(|record| {
            let (key, siblings) = record.split_at(16);
            (
                Key(u128::from_le_bytes(key.try_into().unwrap_or_default())),
                u64::from_le_bytes(siblings.try_into().unwrap_or_default()),
            )
        })
    }

    /// The stored variant in the language that the request likes best, where all else is as it asks (RFC 9111 section
    /// 4.1 lets a cache use what it knows of a field's meaning).
    pub(crate) fn in_language<H: Head + ?Sized>(self, edge: &Edge, primary: Key, request: &H) -> Option<Entry> {
        if !self.names().any(|name| name == LANGUAGE) {
            return None;
        }
        let wanted = vary::preferred_language(request)?;
        let siblings = siblings(edge, primary, self.names(), request);
        self.records().filter(|(_, held)| *held == siblings).find_map(|(key, _)| {
            edge.memory.peek(key).and_then(|entry| edge.usable(entry)).filter(|entry| {
                entry.kind == Kind::Answer
                    && entry.only("content-language").is_some_and(|language| language.eq_ignore_ascii_case(wanted))
            })
        })
    }
}

const LANGUAGE: &str = "accept-language";

fn siblings<'n, H: Head + ?Sized>(edge: &Edge, primary: Key, names: impl Iterator<Item = &'n str>, request: &H) -> u64 {
    let others = names.filter(|name| *name != LANGUAGE);
    (vary::variant(&edge.settings.secret, primary, others, request).0 >> 64) as u64
}

/// Stored variants of the URL, whichever request they answered, with entity tags that the origin may recognise (RFC
/// 9111 section 4.3.1).
pub(crate) fn offered(edge: &Edge, primary: Key, revision: u64) -> Vec<Entry> {
    let Some(index) = edge.memory.peek(primary).filter(|entry| entry.kind == Kind::VaryNames) else {
        return Vec::new();
    };
    let mut entries: Vec<Entry> = Vec::new();
    // The newest first: what was made last is the likeliest to be what the origin would make now.
    let mut keys: Vec<Key> = Variants::of(&index).records().map(|(key, _)| key).collect();
    keys.reverse();
    for entry in keys.into_iter().filter_map(|key| edge.memory.peek(key)) {
        let is_of_use = entry.kind == Kind::Answer
            && entry.status == 200
            && entry.revision == revision
            && !entry.for_user
            && entry.has("etag")
            && edge.may_use(&entry)
            && !entries.iter().any(|other| other.first("etag") == entry.first("etag"));
        if is_of_use {
            entries.push(entry);
        }
        if entries.len() == MAX_OFFERED {
            break;
        }
    }
    entries
}

impl Lead {
    /// Remembers that answers vary by `names`, and that one is stored, or about to be, under `key`.
    pub(crate) fn remember_variant(&self, names: &[String], key: Key, born: Timestamp) {
        let edge = &self.worker.edge;
        let _one_at_a_time = edge.variants.lock();
        let mut body = names.join("\n").into_bytes();
        let held = edge.memory.peek(self.primary).filter(|held| held.kind == Kind::VaryNames && edge.may_use(held));
        let mut records = Vec::new();
        if let Some(held) = &held {
            let variants = Variants::of(held);
            if variants.names().eq(names.iter().map(String::as_str)) {
                records.extend(variants.records().filter(|(other, _)| *other != key && edge.holds(*other)));
            } else if held.stamp > self.fill.stamp {
                // What began later knows better.
                return;
            }
        }
        let n_too_many = (records.len() + 1).saturating_sub(MAX_VARIANTS);
        for (oldest, _) in records.drain(..n_too_many) {
            if let Some(entry) = edge.memory.peek(oldest) {
                edge.remove(&entry);
            }
        }
        records.push((key, siblings(edge, self.primary, names.iter().map(String::as_str), &self.request.fields)));
        body.extend_from_slice(b"\n\n");
        for (key, siblings) in records {
            body.extend_from_slice(&{ key.0 }.to_le_bytes());
            body.extend_from_slice(&siblings.to_le_bytes());
        }
        let terms = Terms { born, expires: Timestamp(u64::MAX), ..Terms::default() };
        let stamp = held.map_or(self.fill.stamp, |held| held.stamp.max(self.fill.stamp));
        let marker = self.marker(Kind::VaryNames, self.primary, stamp, terms, false, &body);
        self.store(marker);
    }
}

/// Sets `If-None-Match` to the tags of all that are offered.
pub(crate) fn offer(fields: &mut Fields, offered: &[Entry]) {
    let tags: Vec<&[u8]> = offered.iter().filter_map(|entry| entry.first("etag")).collect();
    if !tags.is_empty() {
        fields.set("If-None-Match", &tags.join(&b", "[..]));
    }
}
