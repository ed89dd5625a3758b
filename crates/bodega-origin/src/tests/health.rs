use bodega_semantics::Reason;
use parking_lot::Mutex;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LONG: Duration = Duration::from_secs(3600);

fn with_health(settings: Settings, max_failures: u32, retry_after: Duration) -> Settings {
    Settings { health: HealthLimits { max_failures, retry_after, fail_fast: false }, ..settings }
}

/// A request for which something stored may stand in.
fn covered() -> FetchRequest {
    FetchRequest { has_fallback: true, ..request("GET", "/") }
}

#[tokio::test]
async fn every_kind_of_failure_counts_and_an_answer_of_any_status_does_not() {
    let half = "HTTP/1.1 200 OK\r\nContent-Le";
    for (answer, fails) in [
        ("", true),
        (half, true),
        ("?\r\n\r\n", true),
        (OK, false),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", false),
    ] {
        let server = Server::answering_once(answer).await;
        let origins = origins_of(&[with_health(server.settings(), 2, LONG)]);
        let worker = origins.worker();
        for _ in 0..2 {
            assert_eq!(origins.states()[0].trial_in, None, "{answer}");
            let _ = get(&worker).await;
        }
        assert_eq!(origins.states()[0].trial_in.is_some(), fails, "{answer}");
    }
}

#[tokio::test]
async fn a_lone_origin_that_fails_is_asked_all_the_same_unless_something_stored_can_answer() {
    let server = Server::answering_once("").await;
    let origins = origins_of(&[with_health(server.settings(), 2, LONG)]);
    let worker = origins.worker();
    for n in 1..=4 {
        assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
        assert_eq!(server.n_connections(), n);
    }
    let error = worker.fetch("site", covered()).await.err().unwrap();
    assert_eq!((error.reason, server.n_connections()), (Reason::OriginDown, 4));
    assert!(error.message.starts_with("origin \"site\" is failing and is tried again in "), "{error}");
    let post = worker.fetch("site", request("POST", "/")).await.err().unwrap();
    assert_eq!((post.reason, server.n_connections()), (Reason::OriginBroken, 5));
}

#[tokio::test]
async fn with_fail_fast_every_request_is_refused_while_it_fails() {
    let server = Server::answering_once("").await;
    let mut settings = with_health(server.settings(), 1, Duration::from_secs(2));
    settings.health.fail_fast = true;
    let worker = worker(settings);
    assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
    for method in ["GET", "POST"] {
        let error = worker.fetch("site", request(method, "/")).await.err().unwrap();
        assert_eq!((error.reason, error.retry_after_seconds, error.may_retry), (Reason::OriginDown, Some(2), false));
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn when_a_trial_is_due_one_request_is_sent_aside_and_nobody_waits_for_it() {
    let served = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&served);
    let server = Server::start(move |n, mut stream| {
        let told = Arc::clone(&told);
        async move {
            if n == 0 {
                return;
            }
            read_head(&mut stream).await;
            told.notified().await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            read_head(&mut stream).await;
        }
    })
    .await;
    let origins = origins_of(&[with_health(server.settings(), 1, Duration::from_millis(50))]);
    let (worker, other) = (origins.worker(), origins.worker());
    assert!(get(&worker).await.is_err());
    wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
    for _ in 0..5 {
        assert_eq!(worker.fetch("site", covered()).await.err().unwrap().reason, Reason::OriginDown);
        assert_eq!(other.fetch("site", covered()).await.err().unwrap().reason, Reason::OriginDown);
    }
    wait_until(|| server.n_connections() == 2).await;
    served.notify_one();
    wait_until(|| origins.states()[0].trial_in.is_none()).await;
    assert_eq!(server.n_connections(), 2);
    served.notify_one();
    assert_eq!(worker.fetch("site", covered()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_trial_that_nothing_else_can_answer_is_waited_for() {
    let server = Server::start(|n, mut stream| async move {
        if n > 0 {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let origins = origins_of(&[with_health(server.settings(), 1, Duration::from_millis(50))]);
    let worker = origins.worker();
    assert!(get(&worker).await.is_err());
    wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
    assert_eq!(get_body(&worker).await.unwrap(), b"ok");
}

#[tokio::test]
async fn a_trial_whose_client_leaves_is_left_to_the_next() {
    let server = Server::start(|n, mut stream| async move {
        if n == 0 {
            return;
        }
        read_head(&mut stream).await;
        if n == 2 {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
        read_head(&mut stream).await;
    })
    .await;
    let origins = origins_of(&[with_health(server.settings(), 1, Duration::from_millis(50))]);
    let worker = origins.worker();
    assert!(get(&worker).await.is_err());
    wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
    let mut trial = worker.fetch("site", request("GET", "/"));
    tokio::select! {
        _ = &mut trial => unreachable!("the server does not answer"),
        () = wait_until(|| server.n_connections() == 2) => {}
    }
    drop(trial);
    assert!(worker.fetch("site", covered()).await.is_err());
    wait_until(|| origins.states()[0].trial_in.is_none()).await;
    assert_eq!(server.n_connections(), 3);
}

#[tokio::test]
async fn who_runs_the_edge_is_told_when_it_fails_and_when_it_answers_again() {
    let server = Server::start(|n, mut stream| async move {
        if n < 2 {
            return;
        }
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let settings = Arc::new(with_health(server.settings(), 2, Duration::from_millis(100)));
    let report = Arc::new(move |is_up, message: &str| heard.lock().push((is_up, message.to_owned())));
    let worker = Origins::of(&[settings], &[], report).worker();
    for _ in 0..2 {
        assert!(get(&worker).await.is_err());
    }
    assert!(get(&worker).await.is_ok());
    let said = said.lock();
    let [(false, failed), (true, recovered)] = &said[..] else { unreachable!("{said:?}") };
    let ended = format!(
        "is tried again in 0.1 s: origin \"site\" ({}) closed the connection without an answer",
        server.address
    );
    assert!(failed.starts_with("origin \"site\" failed 2 times in a row and "), "{failed}");
    assert!(failed.ends_with(&ended), "{failed}");
    assert!(recovered.starts_with("origin \"site\" answers again, after "), "{recovered}");
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_an_unchanged_origin() {
    let server = Server::answering_once("").await;
    let settings = Arc::new(with_health(server.settings(), 1, LONG));
    let origins = origins_of(&[Settings::clone(&settings)]);
    assert!(get(&origins.worker()).await.is_err());
    origins.change(&[Arc::clone(&settings)], &[]);
    assert!(origins.states()[0].trial_in.is_some());
    origins.change(&[Arc::new(with_health(server.settings(), 2, LONG))], &[]);
    assert_eq!(origins.states()[0].trial_in, None);
}
