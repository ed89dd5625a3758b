//! A history of requests, fills, validations, writes and invalidations of every kind, at random and from several threads:
//! no request that began after an invalidation was acknowledged gets what was there before it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bodega_edge::fetch::{Fetch, FetchAnswer, FetchFuture, FetchRequest, OnePiece};
use bodega_edge::follow::place_from_json;
use bodega_edge::invalidate::{Force, Selector};
use bodega_edge::lurker::Lurker;
use bodega_edge::{Edge, Metrics, Worker, fillers::Fillers};
use bodega_semantics::{Fields, Head, Outcome};
use bodega_store::disk::Admission;
use bodega_testkit::bench::{self, Bench, TestRequest, snapshot_json};
use bodega_testkit::clock::FakeClock;
use bytes::Bytes;
use serde_json::json;

const N_FOLDERS: usize = 3;
const N_FILES: usize = 4;
const N_OBJECTS: usize = N_FOLDERS * N_FILES;
const N_THREADS: usize = 2;
const N_CLIENTS: usize = 3;
const N_REQUESTS: usize = 700;

/// What the origin has, and what nobody may see any more.
#[derive(Default)]
struct World {
    /// The version of each object.
    versions: [AtomicU64; N_OBJECTS],
    /// No request that begins now may get less than this.
    floors: [AtomicU64; N_OBJECTS],
}

fn path(object: usize) -> String {
    format!("/f{}/o{}", object / N_FILES, object % N_FILES)
}

fn object(path: &str) -> usize {
    let mut numbers = path.split('/').skip(1).map(|part| part[1..].parse::<usize>().unwrap());
    numbers.next().unwrap() * N_FILES + numbers.next().unwrap()
}

/// An origin whose objects have versions, as body and as entity tag; it takes its time before and after it looks.
#[derive(Clone)]
struct Origin(Arc<World>);

impl Fetch for Origin {
    fn fetch(&self, _origin: &str, request: FetchRequest) -> FetchFuture {
        let world = Arc::clone(&self.0);
        Box::pin(async move {
            let target = object(&request.path_and_query);
            tokio::task::yield_now().await;
            if request.method == "PUT" {
                world.versions[target].fetch_add(1, Ordering::SeqCst);
                return Ok(answer(204, Fields::new(), Bytes::new()));
            }
            let version = world.versions[target].load(Ordering::SeqCst);
            for _ in 0..version % 4 {
                tokio::task::yield_now().await;
            }
            let tag = format!("\"{version}\"");
            let mut fields = Fields::new();
            fields.push("Cache-Control", b"max-age=5");
            fields.push("ETag", tag.as_bytes());
            fields.push("Cache-Tag", format!("o{target}, f{}", target / N_FILES).as_bytes());
            if request.fields.first("if-none-match") == Some(tag.as_bytes()) {
                return Ok(answer(304, fields, Bytes::new()));
            }
            Ok(answer(200, fields, Bytes::from(version.to_string())))
        })
    }
}

fn answer(status: u16, fields: Fields, body: Bytes) -> FetchAnswer {
    let content_length = (status == 200).then_some(body.len() as u64);
    FetchAnswer { status, fields, content_length, body: Box::new(OnePiece(Some(body))) }
}

/// A generator of its own for each task: a linear congruence.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

async fn request(bench: &Bench, world: &World, random: &mut Random) -> Outcome {
    let target = random.below(N_OBJECTS);
    if random.below(20) == 0 {
        let before = world.versions[target].load(Ordering::SeqCst);
        let put = TestRequest { method: "PUT".to_owned(), ..TestRequest::get(&path(target)) };
        assert_eq!(bench.send(&put).await.status, 204);
        world.floors[target].fetch_max(before + 1, Ordering::SeqCst);
        return Outcome::Pass;
    }
    let floor = world.floors[target].load(Ordering::SeqCst);
    let got = bench.send(&TestRequest::get(&path(target))).await;
    let version: u64 = std::str::from_utf8(&got.body).unwrap().parse().unwrap();
    assert!(version >= floor, "{} {:?}: version {version}, but {floor} was there", path(target), got.outcome);
    got.outcome
}

/// Changes some objects at the origin, and then forgets just these in one of the ways there are.
fn invalidate(bench: &Bench, world: &World, random: &mut Random, n_rules: &mut usize) {
    let target = random.below(N_OBJECTS);
    let folder = target / N_FILES;
    let in_folder: Vec<usize> = (folder * N_FILES..(folder + 1) * N_FILES).collect();
    let (selector, reached) = match random.below(9) {
        0 => ("all".to_owned(), (0..N_OBJECTS).collect()),
        1 => (format!("prefix:https://example.com/f{folder}/"), in_folder),
        2 => (format!("tag:f{folder}"), in_folder),
        3 if *n_rules > 0 => (format!("glob:example.com/f{folder}/*"), in_folder),
        4 if *n_rules > 0 => (format!("tag:*f{folder}*"), in_folder),
        5 => ("distribution:tested".to_owned(), (0..N_OBJECTS).collect()),
        6 | 7 => (format!("tag:o{target}"), vec![target]),
        _ => (format!("https://example.com{}", path(target)), vec![target]),
    };
    *n_rules = n_rules.saturating_sub(usize::from(selector.contains('*')));
    let new: Vec<(usize, u64)> =
        reached.iter().map(|object| (*object, world.versions[*object].fetch_add(1, Ordering::SeqCst) + 1)).collect();
    let force = if random.below(3) == 0 { Force::Soft } else { Force::Hard };
    if random.below(2) == 0 {
        let committed = bench.worker.edge.invalidate(&[Selector::parse(&selector).unwrap()], force).unwrap();
        assert!(committed.is_durable);
    } else {
        follow(&bench.worker.edge, &selector, force);
    }
    for (object, version) in new {
        world.floors[object].fetch_max(version, Ordering::SeqCst);
    }
}

/// Forgets as the next event of a journal says; now and then the edge has parted from it before.
fn follow(edge: &Edge, selector: &str, force: Force) {
    let place = |position| json!({"journal": "1".repeat(32), "epoch": "2".repeat(16), "position": position, "chain": "3".repeat(32)});
    let position = match edge.place() {
        Some(place) if place.position % 50 != 49 => place.position,
        parted => {
            let position = parted.map_or(0, |place| place.position + 1);
            edge.join(place_from_json(&place(position).to_string()).unwrap(), false);
            position
        }
    };
    let data = json!({"selectors": [selector], "force": if force == Force::Soft { "soft" } else { "hard" }});
    let mut batch = place(position);
    batch["after"] = position.into();
    batch["events"] = json!([{"position": position + 1, "type": "invalidation.requested", "version": 1,
        "unless_known": "purge", "data": data}]);
    let followed = edge.follow(batch.to_string().as_bytes(), None).unwrap();
    assert_eq!((followed.place.position, followed.n_applied), (position + 1, 1));
    assert_eq!(followed.is_durable, edge.disk().is_some());
}

/// One thread of the edge, with clients that ask at the same time.
fn serve(bench: &Bench, world: &Arc<World>, seed: u64) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clients: Vec<_> = (0..N_CLIENTS)
            .map(|client| {
                let (bench, world, mut random) = (bench.clone(), Arc::clone(world), Random(seed + client as u64));
                tokio::spawn(async move {
                    let mut outcomes = Vec::new();
                    for _ in 0..N_REQUESTS {
                        outcomes.push(request(&bench, &world, &mut random).await);
                        if random.below(200) == 0 {
                            bench.clock.advance(Duration::from_secs(2));
                        }
                        tokio::task::yield_now().await;
                    }
                    outcomes
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for client in clients {
            outcomes.extend(client.await.unwrap());
        }
        outcomes
    })
}

/// One life of an edge.
fn live(world: &Arc<World>, folder: Option<&Path>, seed: u64) {
    let disk = folder.map(|folder| bench::disk(folder, 256 << 20, Admission::Always, &FakeClock::default()));
    let bench = Bench::with_tiers(&snapshot_json(&json!({}), &json!({}), 1), 64 << 20, disk);
    let is_over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..N_THREADS)
        .map(|thread| {
            let worker = Worker {
                edge: Arc::clone(&bench.worker.edge),
                fetch: Arc::new(Origin(Arc::clone(world))),
                metrics: Metrics::default(),
                fillers: Fillers::default(),
            };
            let bench = Bench { worker: Arc::new(worker), ..bench.clone() };
            let (world, seed) = (Arc::clone(world), seed + 10 * thread as u64);
            std::thread::spawn(move || serve(&bench, &world, seed))
        })
        .collect();
    let others: Vec<_> = [0, 1]
        .map(|which| {
            let (bench, world, is_over) = (bench.clone(), Arc::clone(world), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let (mut random, mut lurker, mut n_rules) = (Random(seed + 100), Lurker::default(), 200);
                while !is_over.load(Ordering::Relaxed) {
                    if which == 0 {
                        bench.worker.edge.lurk(&mut lurker);
                    } else {
                        invalidate(&bench, &world, &mut random, &mut n_rules);
                    }
                    std::thread::yield_now();
                }
            })
        })
        .into();
    let served: Vec<_> = threads.into_iter().map(std::thread::JoinHandle::join).collect();
    is_over.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    let outcomes: Vec<Outcome> = served.into_iter().flat_map(Result::unwrap).collect();
    // A history in which nothing is ever stored says nothing.
    for outcome in [Outcome::Hit, Outcome::Miss] {
        assert!(outcomes.contains(&outcome), "no {outcome:?}");
    }
    // Only what has been asked for again goes to the disk; what was written there is what the next life begins with.
    assert!(bench.worker.edge.keep_all(Duration::from_secs(60)));
}

#[test]
fn in_memory() {
    let world = Arc::new(World::default());
    for seed in 0..4 {
        live(&world, None, seed * 1000);
    }
}

#[test]
fn with_a_disk_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    for seed in 0..4 {
        live(&world, Some(folder.path()), 7 + seed * 1000);
    }
}
