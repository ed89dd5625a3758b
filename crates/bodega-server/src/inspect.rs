//! What is stored, as JSON for people and programs: listings, one URL, and a check of everything on disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use bodega_edge::Edge;
use bodega_edge::inspect::{Cursor, Held, Wanted};
use bodega_semantics::Timestamp;
use bodega_store::disk::{Described, VerifyProgress, VerifyReport};
use bodega_store::entry::Kind;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The most entries of one page.
const MAX_PAGE: usize = 1000;

/// Looks into one edge's store.
pub(crate) struct Inspector {
    edge: Arc<Edge>,
    check: Arc<Mutex<Check>>,
}

/// A check of everything on disk, under way or over.
#[derive(Default)]
struct Check {
    thread: Option<JoinHandle<()>>,
    progress: VerifyProgress,
    report: Option<VerifyReport>,
    is_to_stop: bool,
}

impl Inspector {
    pub(crate) fn new(edge: Arc<Edge>) -> Self {
        Self { edge, check: Arc::default() }
    }

    /// A page of what is stored. `query` is that of a URL: `prefix`, `tag`, `min_bytes`, `limit`, `cursor`.
    ///
    /// # Errors
    /// In words, if it says something else.
    pub(crate) fn entries(&self, query: &str) -> Result<Value, String> {
        let (mut wanted, mut limit, mut cursor) = (Wanted::default(), 100, Cursor::Memory(0));
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            let number = || value.parse::<u64>().map_err(|_| format!("{name}={value}: not a number"));
            match name.as_str() {
                "prefix" => wanted.prefix = Some(value.split_once("://").map_or(&*value, |(_, rest)| rest).to_owned()),
                "tag" => wanted.tag = Some(value),
                "min_bytes" => wanted.min_bytes = number()?,
                "limit" => limit = usize::try_from(number()?).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE),
                "cursor" => cursor = read_cursor(&value).ok_or_else(|| format!("cursor={value}: not one of ours"))?,
                _ => return Err(format!("{name}: here are prefix, tag, min_bytes, limit and cursor")),
            }
        }
        let (held, next) = self.edge.list(&wanted, cursor, limit);
        let now = self.edge.now();
        let entries: Vec<Value> = held.iter().map(|held| entry(held, now)).collect();
        Ok(json!({ "entries": entries, "next": next.map(write_cursor) }))
    }

    /// What is stored for a URL.
    ///
    /// # Errors
    /// In words, if it is no URL, or none that is served here.
    pub(crate) fn show(&self, url: &str) -> Result<Value, String> {
        let (scheme, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
            .ok_or_else(|| format!("{url}: not a URL such as https://shop.example.com/images/a.webp"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, target) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { "/" } else { path };
        let held = self
            .edge
            .show(scheme == "https", host, path, query)
            .ok_or_else(|| format!("{url}: no distribution keeps it"))?;
        let now = self.edge.now();
        let mut shown = Vec::new();
        for one in &held {
            let mut value = entry(one, now);
            value["fields"] = fields(one);
            if let Some(disk) = &one.on_disk {
                value["disk"] = on_disk(disk);
            }
            shown.push(value);
        }
        Ok(json!({ "url": url, "sequence": self.edge.invalidations.sequence(), "entries": shown }))
    }

    /// Begins to check everything on disk, unless that is under way.
    ///
    /// # Errors
    /// In words, where there is no disk, or no thread to be had.
    pub(crate) fn begin_check(&self) -> Result<(), String> {
        if self.edge.disk().is_none() {
            return Err("this edge has no disk".to_owned());
        }
        let mut check = self.check.lock();
        if check.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        *check = Check::default();
        let (edge, shared) = (Arc::clone(&self.edge), Arc::clone(&self.check));
        let run = move || {
            let Some(disk) = edge.disk() else { return };
            let report = disk.verify(&mut |progress| {
                let mut check = shared.lock();
                check.progress = progress;
                !check.is_to_stop
            });
            shared.lock().report = Some(report);
        };
        let thread = std::thread::Builder::new().name("bodega-check".to_owned()).spawn(run);
        check.thread = Some(thread.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// How far the last check is.
    pub(crate) fn check(&self) -> Value {
        let check = self.check.lock();
        json!({
            "running": check.thread.is_some() && check.report.is_none(),
            "checked_bytes": check.progress.checked_bytes,
            "total_bytes": check.progress.total_bytes,
            "bad": check.report.map_or(check.progress.n_bad, |report| report.n_bad),
            "report": check.report.map(|report| json!({
                "records": report.n_records,
                "slices": report.n_slices,
                "checked_bytes": report.checked_bytes,
                "bad": report.n_bad,
                "complete": report.is_complete,
            })),
        })
    }

    /// Ends what is under way.
    pub(crate) fn stop(&self) {
        let thread = {
            let mut check = self.check.lock();
            check.is_to_stop = true;
            check.thread.take()
        };
        if let Some(thread) = thread {
            // A panic has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

fn entry(held: &Held, now: Timestamp) -> Value {
    let entry = &held.entry;
    let seconds = |from: Timestamp, to: Timestamp| (to.0 as f64 - from.0 as f64) / 1000.0;
    let body = held.on_disk.as_ref().and_then(|disk| disk.body.as_ref());
    let tiers: Vec<&str> =
        held.in_memory.then_some("memory").into_iter().chain(held.on_disk.is_some().then_some("disk")).collect();
    json!({
        "url": entry.note().url(),
        "distribution": entry.note().distribution(),
        "key": format!("{:032x}", { entry.key.0 }),
        "kind": if entry.kind == Kind::Part { "part" } else { "answer" },
        "status": entry.status,
        "size_bytes": entry.body().len(),
        "tiers": tiers,
        "hits": entry.n_hits() + held.on_disk.as_ref().map_or(0, |disk| disk.hits),
        "age_seconds": seconds(entry.terms.born, now),
        "ttl_seconds": seconds(now, entry.terms.expires),
        "invalidated": held.is_invalidated,
        "tags": entry.note().tags().collect::<Vec<_>>(),
        "stamp": entry.stamp,
        "slices": body.map(|body| json!({ "there": body.slices.len(), "all": body.n_slices })),
    })
}

fn fields(held: &Held) -> Value {
    use bodega_semantics::Head;
    let pair = |field: bodega_semantics::Field<'_>| json!([field.name, String::from_utf8_lossy(field.value)]);
    held.entry.fields().map(pair).collect()
}

fn on_disk(disk: &Described) -> Value {
    json!({
        "segment": disk.segment,
        "offset": disk.offset,
        "record_bytes": disk.record_bytes,
        "object": disk.body.as_ref().map(|body| body.object),
        "slices": disk.body.as_ref().map(|body| {
            body.slices.iter().map(|slice| json!([slice.slice, slice.slot, slice.is_checked])).collect::<Vec<_>>()
        }),
    })
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (tier, place) = text.split_at_checked(1)?;
    match tier {
        "m" => place.parse().ok().map(Cursor::Memory),
        "d" => place.parse().ok().map(Cursor::Disk),
        _ => None,
    }
}

fn write_cursor(cursor: Cursor) -> String {
    match cursor {
        Cursor::Memory(place) => format!("m{place}"),
        Cursor::Disk(place) => format!("d{place}"),
    }
}
