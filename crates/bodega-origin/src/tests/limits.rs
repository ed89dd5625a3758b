use std::time::Instant;

use bodega_semantics::Reason;

use super::*;

const SHORT: Duration = Duration::from_millis(80);

#[tokio::test]
async fn an_origin_that_does_not_answer_runs_into_the_first_byte_timeout() {
    for said in ["", "HTTP/1.1 200 OK\r\nX-Slow: "] {
        let server = Server::start(move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            read_head(&mut stream).await;
        })
        .await;
        let mut settings = server.settings();
        settings.limits.first_byte_timeout = SHORT;
        settings.limits.attempts = 2;
        let started = Instant::now();
        let error = get(&worker(settings)).await.err().unwrap();
        assert_eq!(error.reason, Reason::OriginTimeout);
        assert!(started.elapsed() >= SHORT);
        let n_attempts = if said.is_empty() { 2 } else { 1 };
        let expected =
            format!("origin \"site\" ({}) did not answer within 0.1 s (attempt {n_attempts} of 2)", server.address);
        assert_eq!(error.message, expected);
        assert_eq!(server.n_connections(), n_attempts);
    }
}

#[tokio::test]
async fn a_body_that_stalls_runs_into_the_between_bytes_timeout() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let mut settings = server.settings();
    settings.limits.between_bytes_timeout = SHORT;
    let error = get_body(&worker(settings)).await.unwrap_err();
    assert_eq!(error.reason, Reason::OriginTimeout);
    assert!(error.message.ends_with("sent nothing for 0.1 s after 2 bytes of its body"), "{error}");
}

#[tokio::test]
async fn a_slow_body_that_keeps_coming_is_no_timeout() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await.unwrap();
        for byte in b"hello" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
        read_head(&mut stream).await;
    })
    .await;
    let mut settings = server.settings();
    settings.limits.between_bytes_timeout = Duration::from_millis(400);
    assert_eq!(get_body(&worker(settings)).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_reader_that_takes_its_time_is_no_timeout() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_owned() + &"x".repeat(100_000)).await;
    let mut settings = server.settings();
    settings.limits.between_bytes_timeout = Duration::from_millis(300);
    let answer = get(&worker(settings)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(body(answer).await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn a_reused_connection_has_its_timeouts_anew() {
    let server = Server::start(|_, mut stream| async move {
        loop {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(130)).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let mut settings = server.settings();
    settings.limits.first_byte_timeout = Duration::from_millis(400);
    let worker = worker(settings);
    for _ in 0..4 {
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once_and_a_long_wait_after_its_time() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        read_head(&mut stream).await;
    })
    .await;
    let mut settings = server.settings();
    settings.limits.max_connections = 1;
    settings.limits.max_queue = 1;
    settings.limits.queue_timeout = SHORT;
    let worker = Arc::new(worker(settings));
    let first = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { get(&worker).await.map(|_| ()) }
    });
    wait_until(|| server.n_connections() == 1).await;
    let (second, third) = tokio::join!(get(&worker), get(&worker));
    let (second, third) = (second.err().unwrap(), third.err().unwrap());
    assert_eq!((second.reason, second.retry_after_seconds), (Reason::OriginBusy, Some(1)));
    assert_eq!(second.message, "origin \"site\" had no connection free within 0.1 s");
    assert_eq!(third.reason, Reason::OriginBusy);
    assert_eq!(third.message, "origin \"site\" has all its connections in use and 1 requests waiting");
    first.abort();
}

#[tokio::test]
async fn a_turn_lasts_until_the_body_has_ended_or_is_dropped() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n".to_owned() + &"x".repeat(20_000)).await;
    let mut settings = server.settings();
    settings.limits.max_connections = 1;
    settings.limits.max_queue = 0;
    let worker = worker(settings);
    let answer = get(&worker).await.unwrap();
    assert_eq!(get(&worker).await.err().unwrap().reason, Reason::OriginBusy);
    drop(answer);
    let answer = get(&worker).await.unwrap();
    body(answer).await.unwrap();
    assert_eq!(get_body(&worker).await.unwrap().len(), 20_000);
    // A body left unread takes its connection with it.
    assert_eq!(server.n_connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let mut settings = server.settings();
    settings.limits.max_connections = 2;
    let worker = worker(settings);
    let (first, second, third) = tokio::join!(get_body(&worker), get_body(&worker), get_body(&worker));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert!(server.n_connections() <= 3 && worker.lane("site").unwrap().n_idle() <= 2);
}

#[tokio::test]
async fn idle_connections_are_bounded_in_age() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let worker = server.worker();
    get_body(&worker).await.unwrap();
    let lane = worker.lane("site").unwrap();
    let now = tokio::time::Instant::now();
    lane.sweep(now + Duration::from_secs(29));
    assert_eq!(lane.n_idle(), 1);
    lane.sweep(now + Duration::from_secs(31));
    assert_eq!(lane.n_idle(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_a_second_before_its_origin_closes_it() {
    let rests = |said: &str| format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok");
    for (said, seconds) in [
        ("Keep-Alive: timeout=5, max=100\r\n", 4),
        ("Keep-Alive: max=100,  Timeout = \"5\"\r\n", 4),
        ("Keep-Alive: timeout=9\r\nKeep-Alive: timeout=5\r\n", 4),
        ("Keep-Alive: timeout=600\r\n", 30),
        ("Keep-Alive: timeout=99999999999999999999\r\n", 30),
        ("Keep-Alive: timeout=-5\r\n", 30),
        ("Keep-Alive: timeout=\r\n", 30),
        ("Keep-Alive: 5\r\n", 30),
        ("Keep-Alive: \u{e9}\r\n", 30),
    ] {
        let server = Server::answering(rests(said)).await;
        let worker = server.worker();
        get_body(&worker).await.unwrap();
        let lane = worker.lane("site").unwrap();
        // The connection was laid down a little before this.
        let now = tokio::time::Instant::now();
        lane.sweep(now + Duration::from_secs(seconds) - Duration::from_millis(900));
        assert_eq!(lane.n_idle(), 1, "{said}");
        lane.sweep(now + Duration::from_secs(seconds) + Duration::from_millis(1));
        assert_eq!(lane.n_idle(), 0, "{said}");
    }
}

#[tokio::test]
async fn a_connection_that_its_origin_closes_at_once_is_not_kept() {
    for said in ["timeout=0", "timeout=1"] {
        let server =
            Server::answering(format!("HTTP/1.1 200 OK\r\nKeep-Alive: {said}\r\nContent-Length: 2\r\n\r\nok")).await;
        let worker = server.worker();
        get_body(&worker).await.unwrap();
        assert_eq!(worker.lane("site").unwrap().n_idle(), 0, "{said}");
    }
}
