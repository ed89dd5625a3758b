use bodega_semantics::Reason;
use bodega_snapshot::OriginGroup;

use super::uploads::echoing;
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An address where nobody listens.
async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Takes each request and never says anything.
async fn hanging() -> Server {
    Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        read_head(&mut stream).await;
    })
    .await
}

/// Takes each request and resets its connection.
async fn resetting() -> Server {
    Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await
}

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 5\r\n\r\nsorry")
}

fn named(name: &str, settings: Settings) -> Settings {
    Settings { name: name.into(), ..settings }
}

/// A group "site" of these, in this order; their names are "a", "b" and so on.
fn group_of(members: Vec<Settings>, failover: &[u16]) -> Arc<Origins> {
    let origins: Vec<_> =
        ["a", "b", "c"].iter().zip(members).map(|(name, settings)| Arc::new(named(name, settings))).collect();
    let members = origins.iter().map(|origin| origin.name.clone()).collect();
    let group = OriginGroup { name: "site".into(), members, failover: failover.into() };
    Origins::of(&origins, &[Arc::new(group)], Arc::new(|_, _| {}))
}

#[tokio::test]
async fn the_first_member_is_asked_as_long_as_it_answers() {
    let (first, second) = (Server::answering(OK).await, Server::answering(status(503)).await);
    let origins = group_of(vec![first.settings(), second.settings()], &[503]);
    let worker = origins.worker();
    for _ in 0..3 {
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    }
    assert_eq!((first.n_connections(), second.n_connections()), (1, 0));
    assert_eq!(origins.failovers(), [("site".to_owned(), 0)]);
}

#[tokio::test]
async fn the_next_member_is_asked_where_one_gives_no_answer() {
    let second = Server::answering(OK).await;
    let down = refusing().await;
    let (hanging, resetting) = (hanging().await, resetting().await);
    let silent = Server::answering_once("").await;
    let half = Server::answering_once("HTTP/1.1 200 OK\r\nContent-Le").await;
    let garbage = Server::answering("220 smtp.example.com ESMTP\r\n\r\n").await;
    let mut impatient = hanging.settings();
    impatient.limits.first_byte_timeout = Duration::from_millis(80);
    let cases = [
        ("refused", settings(down)),
        ("no such name", at_host(settings(down), down, false, "nothing.invalid")),
        ("no TLS there", at_host(garbage.settings(), garbage.address, true, "localhost")),
        ("no answer in time", impatient),
        ("reset", resetting.settings()),
        ("closed before the head", silent.settings()),
        ("closed within the head", half.settings()),
        ("malformed", garbage.settings()),
    ];
    for (what, first) in cases {
        let origins = group_of(vec![first, second.settings()], &[]);
        assert_eq!(get_body(&origins.worker()).await.unwrap(), b"ok", "{what}");
        assert_eq!(origins.failovers()[0].1, 1, "{what}");
    }
}

#[tokio::test]
async fn the_next_member_is_asked_after_a_status_that_is_listed_and_no_other() {
    for (given, answered) in [(500, 200), (502, 200), (503, 200), (404, 200), (501, 501), (403, 403), (200, 200)] {
        let (first, second) = (Server::answering(status(given)).await, Server::answering(OK).await);
        let origins = group_of(vec![first.settings(), second.settings()], &[500, 502, 503, 404]);
        assert_eq!(get(&origins.worker()).await.unwrap().status, answered, "{given}");
        assert_eq!(second.n_connections(), usize::from(given != answered), "{given}");
    }
}

#[tokio::test]
async fn the_answer_of_the_last_member_is_handed_on_as_it_came() {
    let (first, second) = (Server::answering(status(500)).await, Server::answering(status(503)).await);
    let origins = group_of(vec![first.settings(), second.settings()], &[500, 503]);
    let answer = get(&origins.worker()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(body(answer).await.unwrap(), b"sorry");
}

#[tokio::test]
async fn members_are_asked_in_order_each_once_with_attempts_of_its_own() {
    let (first, second, third) =
        (Server::answering_once("").await, Server::answering(status(503)).await, Server::answering_once("").await);
    let mut twice = first.settings();
    twice.limits.attempts = 2;
    let origins = group_of(vec![twice, second.settings(), third.settings()], &[503]);
    let error = get(&origins.worker()).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginBroken);
    let expected = format!("origin \"c\" ({}) closed the connection without an answer", third.address);
    assert_eq!(error.message, expected);
    assert_eq!((first.n_connections(), second.n_connections(), third.n_connections()), (2, 1, 1));
    assert_eq!(origins.failovers()[0].1, 1);
}

#[tokio::test]
async fn every_safe_request_goes_on_as_it_was() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let first = Server::answering_once("").await;
        let (sender, mut heads) = tokio::sync::mpsc::unbounded_channel();
        let second = Server::start(move |_, mut stream| {
            let sender = sender.clone();
            async move {
                sender.send(read_head(&mut stream).await).unwrap();
                stream.write_all(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                read_head(&mut stream).await;
            }
        })
        .await;
        let origins = group_of(vec![first.settings(), second.settings()], &[]);
        let mut asked = request(method, "/a?b");
        asked.fields.push("Range", b"bytes=0-1");
        asked.fields.push("If-Range", b"\"a\"");
        asked.fields.push("If-None-Match", b"\"b\"");
        assert_eq!(origins.worker().fetch("site", asked).await.unwrap().status, 206);
        let expected = format!(
            "{method} /a?b HTTP/1.1\r\nHost: {}\r\nRange: bytes=0-1\r\nIf-Range: \"a\"\r\nIf-None-Match: \"b\"\r\n\r\n",
            second.address
        );
        assert_eq!(heads.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_unsafe_request_is_for_the_first_member_alone() {
    let (first, second) = (Server::answering(status(503)).await, Server::answering(OK).await);
    let origins = group_of(vec![first.settings(), second.settings()], &[503]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        assert_eq!(origins.worker().fetch("site", request(method, "/")).await.unwrap().status, 503, "{method}");
    }
    let down = group_of(vec![settings(refusing().await), second.settings()], &[503]);
    assert_eq!(down.worker().fetch("site", request("POST", "/")).await.err().unwrap().reason, Reason::OriginConnect);
    assert_eq!(second.n_connections(), 0);
}

#[tokio::test]
async fn what_is_asked_with_a_body_and_changes_nothing_goes_to_the_next_member() {
    const ECHO: &[u8] = b"the question";
    let bytes = || Bytes::from_static(ECHO);
    let ask = |body| FetchRequest { body: Some(body), ..request("POST", "/") };
    let second = echoing(ECHO).await;
    for first in [Server::answering(status(503)).await.settings(), settings(refusing().await)] {
        let origins = group_of(vec![first, second.settings()], &[503]);
        let answer = origins.worker().fetch("site", ask(RequestBody::repeatable(bytes()))).await.unwrap();
        assert!(body(answer).await.unwrap().ends_with(ECHO));
        let n_connections = second.n_connections();
        let once = origins.worker().fetch("site", ask(RequestBody::whole(bytes()))).await;
        assert!(
            once.is_err_and(|error| error.reason == Reason::OriginConnect) || second.n_connections() == n_connections
        );
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_stays_the_answer() {
    let first = Server::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await;
    let second = Server::answering(OK).await;
    let origins = group_of(vec![first.settings(), second.settings()], &[503]);
    let answer = get(&origins.worker()).await.unwrap();
    assert_eq!(body(answer).await.unwrap_err().reason, Reason::OriginBroken);
    assert_eq!(second.n_connections(), 0);
}

#[tokio::test]
async fn the_next_member_is_asked_where_one_has_no_connection_left() {
    let (first, second) = (hanging().await, Server::answering(OK).await);
    let mut narrow = first.settings();
    (narrow.limits.max_connections, narrow.limits.max_queue) = (1, 0);
    let origins = group_of(vec![narrow, second.settings()], &[]);
    let worker = Arc::new(origins.worker());
    let under_way = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { get(&worker).await.map(|_| ()) }
    });
    wait_until(|| first.n_connections() == 1).await;
    assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    under_way.abort();
}

#[tokio::test]
async fn a_group_follows_a_reload_and_its_figure_only_grows() {
    let (down, second) = (refusing().await, Server::answering(OK).await);
    let origins = group_of(vec![settings(down), second.settings()], &[]);
    let worker = origins.worker();
    get_body(&worker).await.unwrap();
    let members = [named("b", second.settings()), named("a", settings(down))].map(Arc::new);
    let changed = OriginGroup { name: "site".into(), members: vec!["b".into(), "a".into()], failover: vec![] };
    origins.change(&members, &[Arc::new(changed)]);
    get_body(&worker).await.unwrap();
    assert_eq!(origins.failovers(), [("site".to_owned(), 1)]);
    // Its members are reached under their own names, too.
    assert_eq!(worker.fetch("b", request("GET", "/")).await.unwrap().status, 200);
    origins.change(&members, &[]);
    assert_eq!(get(&worker).await.err().unwrap().reason, Reason::Internal);
}

mod failing {
    use super::*;

    fn with_health(settings: Settings, max_failures: u32, retry_after: Duration) -> Settings {
        Settings { health: HealthLimits { max_failures, retry_after, fail_fast: false }, ..settings }
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_failing_member_is_passed_over_without_being_asked() {
        for failover in [&[][..], &[503][..]] {
            let first = Server::answering(if failover.is_empty() { "?\r\n\r\n".to_owned() } else { status(503) }).await;
            let second = Server::answering(OK).await;
            let origins = group_of(vec![with_health(first.settings(), 3, LONG), second.settings()], failover);
            let (worker, other) = (origins.worker(), origins.worker());
            for _ in 0..3 {
                assert_eq!(get_body(&worker).await.unwrap(), b"ok");
            }
            let n_before = first.n_connections();
            for _ in 0..3 {
                assert_eq!(get_body(&worker).await.unwrap(), b"ok");
                assert_eq!(get_body(&other).await.unwrap(), b"ok", "another thread knows it, too");
            }
            assert_eq!(first.n_connections(), n_before);
            assert_eq!(origins.failovers()[0].1, 9);
        }
    }

    #[tokio::test]
    async fn a_status_that_is_no_failure_of_the_server_does_not_make_it_failing() {
        let (first, second) = (Server::answering(status(404)).await, Server::answering(OK).await);
        let origins = group_of(vec![with_health(first.settings(), 1, LONG), second.settings()], &[404]);
        for _ in 0..3 {
            assert_eq!(get_body(&origins.worker()).await.unwrap(), b"ok");
        }
        assert_eq!(origins.states()[0].trial_in, None);
    }

    #[tokio::test]
    async fn the_first_member_is_asked_again_once_a_trial_was_answered() {
        let first = Server::start(|n, mut stream| async move {
            while !read_head(&mut stream).await.is_empty() {
                let answer = if n == 0 { status(503) } else { OK.replace("ok", "up") };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if n == 0 {
                    return;
                }
            }
        })
        .await;
        let second = Server::answering(OK).await;
        let short = with_health(first.settings(), 1, Duration::from_millis(50));
        let origins = group_of(vec![short, second.settings()], &[503]);
        let worker = origins.worker();
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
        // The trial runs aside: this client is answered by the member that is up.
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        wait_until(|| origins.states()[0].trial_in.is_none()).await;
        assert_eq!(get_body(&worker).await.unwrap(), b"up");
    }

    #[tokio::test]
    async fn nobody_waits_for_the_trial_of_a_member_that_hangs() {
        let first = hanging().await;
        let second = Server::answering(OK).await;
        let mut short = with_health(first.settings(), 1, Duration::from_millis(50));
        short.limits.first_byte_timeout = Duration::from_millis(80);
        let origins = group_of(vec![short.clone(), second.settings()], &[]);
        let worker = origins.worker();
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        // From here on it hangs for longer than the test could wait.
        short.limits.first_byte_timeout = LONG;
        origins.change(
            &[Arc::new(named("a", short)), Arc::new(named("b", second.settings()))],
            &[Arc::new(OriginGroup { name: "site".into(), members: vec!["a".into(), "b".into()], failover: vec![] })],
        );
        let now = tokio::time::Instant::now();
        assert!(worker.lane("a").unwrap().origin().health.ask(now).unwrap().failed(now, 0).is_some());
        wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
        for _ in 0..5 {
            assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        }
        wait_until(|| first.n_connections() == 2).await;
    }

    #[tokio::test]
    async fn a_trial_is_waited_for_where_no_other_member_is_up() {
        let first = Server::start(|n, mut stream| async move {
            if n > 0 {
                read_head(&mut stream).await;
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        })
        .await;
        let second = Server::answering_once("").await;
        let members =
            vec![with_health(first.settings(), 1, Duration::from_millis(50)), with_health(second.settings(), 1, LONG)];
        let origins = group_of(members, &[]);
        let worker = origins.worker();
        assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
        wait_until(|| origins.states()[0].trial_in == Some(Duration::ZERO)).await;
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        assert_eq!(second.n_connections(), 1);
    }

    #[tokio::test]
    async fn where_all_are_failing_the_one_that_is_due_first_is_asked() {
        let first = Server::answering(status(503)).await;
        let second = Server::answering_once("").await;
        let soon = Duration::from_secs(600);
        let members = vec![with_health(first.settings(), 1, LONG), with_health(second.settings(), 1, soon)];
        let origins = group_of(members, &[503]);
        let worker = origins.worker();
        assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
        let n_before = (first.n_connections(), second.n_connections());
        assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
        assert_eq!((first.n_connections(), second.n_connections()), (n_before.0, n_before.1 + 1));
    }

    #[tokio::test]
    async fn one_that_was_passed_over_is_asked_when_no_other_has_answered() {
        // The first is taken as failing and has recovered; the second has just gone.
        let first = Server::answering(OK).await;
        let down = refusing().await;
        let origins = group_of(vec![with_health(first.settings(), 1, LONG), settings(down)], &[]);
        let worker = origins.worker();
        let lane = worker.lane("a").unwrap();
        let now = tokio::time::Instant::now();
        assert!(lane.origin().health.ask(now).unwrap().failed(now, 0).is_some());
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        // The answer has ended its failing.
        assert_eq!(origins.states()[0].trial_in, None);
    }

    #[tokio::test]
    async fn where_something_stored_can_answer_nobody_waits_for_a_group_that_fails() {
        let (first, second) = (Server::answering_once("").await, Server::answering_once("").await);
        let members = vec![with_health(first.settings(), 1, LONG), with_health(second.settings(), 1, LONG)];
        let origins = group_of(members, &[]);
        let worker = origins.worker();
        assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBroken);
        let covered = FetchRequest { has_fallback: true, ..request("GET", "/") };
        let error = worker.fetch("site", covered).await.err().unwrap();
        assert_eq!(error.reason, Reason::OriginDown);
        assert!(error.retry_after_seconds.is_some_and(|seconds| (2600..=3600).contains(&seconds)), "{error:?}");
        assert_eq!((first.n_connections(), second.n_connections()), (1, 1));
    }
}
