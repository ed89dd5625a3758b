use bodega_semantics::Reason;

use super::*;

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_never_an_end() {
    let cases = [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Reason::OriginBroken),
        ("chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell", Reason::OriginBroken),
        ("last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n", Reason::OriginBroken),
        ("trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n0\r\n", Reason::OriginBroken),
        ("no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n", Reason::OriginMalformed),
    ];
    for (what, answer, reason) in cases {
        let server = Server::answering_once(answer).await;
        let worker = server.worker();
        let answer = get(&worker).await.unwrap();
        let error = body(answer).await.unwrap_err();
        assert_eq!((error.reason, error.may_retry), (reason, false), "{what}");
        assert_eq!(worker.lane("site").unwrap().n_idle(), 0);
    }
}

#[tokio::test]
async fn bytes_behind_the_end_are_an_error_where_a_body_could_be_cut_short() {
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let whole = [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ];
    for whole in whole {
        let server = Server::answering_once(format!("{whole}{forged}")).await;
        let worker = server.worker();
        let error = get_body(&worker).await.unwrap_err();
        assert_eq!((error.reason, error.may_retry), (Reason::OriginMalformed, false), "{whole:.60}");
        assert_eq!(worker.lane("site").unwrap().n_idle(), 0);
    }
    // By the letter the length is where the body ends (RFC 9112 section 6.3), and only the connection does not go on.
    let server = Server::answering_once(format!("{}{forged}", whole[1])).await;
    let worker = server.worker();
    let request = FetchRequest { by_the_letter: true, ..request("GET", "/") };
    let answer = worker.fetch(&Arc::from("site"), request).await.unwrap();
    assert_eq!(body(answer).await.unwrap(), b"ok");
    assert_eq!(worker.lane("site").unwrap().n_idle(), 0);
    // Nothing is missing of an answer without a body; what follows it is for nobody.
    for head in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n"] {
        let server = Server::answering_once(format!("{head}{forged}")).await;
        let worker = server.worker();
        assert_eq!(get_body(&worker).await.unwrap(), b"", "{head}");
        assert_eq!(worker.lane("site").unwrap().n_idle(), 0);
    }
}

#[tokio::test]
async fn a_broken_body_says_what_came_before() {
    let server = Server::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").await;
    let error = get_body(&server.worker()).await.unwrap_err();
    let expected = format!("origin \"site\" ({}) closed the connection after 4 bytes of its body", server.address);
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn a_malformed_head_is_an_error_and_not_tried_again() {
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17);
    let switching = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    for answer in ["\0\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n", both, &long, &hints, switching] {
        let server = Server::answering_once(answer).await;
        let mut settings = server.settings();
        settings.limits.attempts = 3;
        let error = get_body(&worker(settings)).await.unwrap_err();
        assert_eq!((error.reason, server.n_connections()), (Reason::OriginMalformed, 1), "{answer:.30}");
    }
}

#[tokio::test]
async fn a_safe_request_without_an_answer_is_sent_again() {
    let server = Server::start(|n, mut stream| async move {
        read_head(&mut stream).await;
        if n == 1 {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let mut settings = server.settings();
    settings.limits.attempts = 2;
    assert_eq!(get_body(&worker(settings)).await.unwrap(), b"ok");
    assert_eq!(server.n_connections(), 2);
}

#[tokio::test]
async fn attempts_are_bounded_and_counted_in_the_message() {
    let server = Server::answering_once("").await;
    let mut settings = server.settings();
    settings.limits.attempts = 3;
    let worker = worker(settings);
    let error = get(&worker).await.err().unwrap();
    assert_eq!((error.reason, error.may_retry, server.n_connections()), (Reason::OriginBroken, true, 3));
    assert!(error.message.ends_with("closed the connection without an answer (attempt 3 of 3)"), "{error}");

    // What may have been done once is not done twice.
    let error = worker.fetch("site", request("POST", "/")).await.err().unwrap();
    assert_eq!((error.may_retry, server.n_connections()), (false, 4));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let server = Server::answering_once("HTTP/1.1 2").await;
    let mut settings = server.settings();
    settings.limits.attempts = 3;
    let error = get(&worker(settings)).await.err().unwrap();
    assert_eq!((error.reason, server.n_connections()), (Reason::OriginBroken, 1));
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_meanwhile_costs_no_attempt() {
    // The answer says nothing of closing; the connection is closed when the next request comes.
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let worker = server.worker();
    for n in 1..=3 {
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
        assert_eq!(server.n_connections(), n);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_is_not_sent_on_a_closed_connection() {
    let server = Server::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let worker = server.worker();
    assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    let lane = worker.lane("site").unwrap();
    // The close has arrived at this side once an idle connection shows it.
    wait_until(|| match lane.take(false) {
        None => true,
        Some(connection) => {
            lane.give_back(connection);
            false
        }
    })
    .await;
    assert_eq!(worker.fetch("site", request("POST", "/")).await.unwrap().status, 200);
    assert_eq!(server.n_connections(), 2);
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_make_a_connection_useless() {
    let server = Server::start(|n, mut stream| async move {
        read_head(&mut stream).await;
        let status = if n == 0 { "200 OK" } else { "202 Accepted" };
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
        if n == 0 {
            stream.write_all(b"HTTP/1.1 500 Poisoned\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
        read_head(&mut stream).await;
    })
    .await;
    let worker = server.worker();
    assert_eq!(get(&worker).await.unwrap().status, 200);
    let lane = worker.lane("site").unwrap();
    wait_until(|| match lane.take(false) {
        None => true,
        Some(connection) => {
            lane.give_back(connection);
            false
        }
    })
    .await;
    assert_eq!(get(&worker).await.unwrap().status, 202);
}

#[tokio::test]
async fn an_origin_that_is_down_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = settings(address);
    settings.limits.attempts = 2;
    let error = worker(settings).fetch("site", request("POST", "/")).await.err().unwrap();
    assert_eq!((error.reason, error.may_retry), (Reason::OriginConnect, true));
    assert_eq!(error.message, format!("origin \"site\" ({address}) refused the connection (attempt 2 of 2)"));
}

#[tokio::test]
async fn a_name_without_address_is_told_from_an_origin_that_is_down() {
    let address = "127.0.0.1:1".parse().unwrap();
    let settings = at_host(settings(address), address, false, "nothing.invalid");
    let error = get(&worker(settings)).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginName);
    assert!(error.message.starts_with("origin \"site\" could not be found: nothing.invalid"), "{error}");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // `localhost` has an IPv6 address on most machines, where nothing listens at this port.
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let settings = at_host(server.settings(), server.address, false, "localhost");
    assert_eq!(get_body(&worker(settings)).await.unwrap(), b"ok");
}

/// A listener that accepts nothing more: its queue is full, so the kernel leaves who comes next without an answer.
async fn silent() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    (listener, queued, address)
}

#[tokio::test]
async fn the_next_address_is_tried_while_one_is_silent() {
    let (_listener, _queued, silent) = silent().await;
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let mut settings = at_host(server.settings(), server.address, false, "two.example");
    settings.limits.connect_timeout = Duration::from_secs(60);
    let worker = worker(settings);
    worker.lane("site").unwrap().origin().resolver.know(&[silent, server.address]);
    let started = std::time::Instant::now();
    assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    assert!(started.elapsed() >= Duration::from_millis(250));
    // In turn, the first address would have had half of the minute.
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    assert_eq!(worker.lane("site").unwrap().origin().resolver.addresses().await.unwrap()[0], server.address);
}

#[tokio::test]
async fn addresses_that_are_all_silent_run_into_the_connect_timeout() {
    let (_listener, _queued, silent) = silent().await;
    let mut settings = at_host(settings(silent), silent, false, "two.example");
    settings.limits.connect_timeout = Duration::from_millis(400);
    let worker = worker(settings);
    worker.lane("site").unwrap().origin().resolver.know(&[silent, silent]);
    let error = get(&worker).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginConnect);
    assert_eq!(error.message, format!("origin \"site\" ({silent}) did not accept a connection within 0.4 s"));
}

#[tokio::test]
async fn an_origin_the_configuration_does_not_have_is_a_defect_of_the_edge() {
    let server = Server::answering("").await;
    let error = server.worker().fetch("other", request("GET", "/")).await.err().unwrap();
    assert_eq!(error.reason, Reason::Internal);
}
