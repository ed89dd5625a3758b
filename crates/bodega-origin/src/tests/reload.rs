use super::*;

#[tokio::test]
async fn an_unchanged_origin_keeps_its_connections_over_a_reload() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let other = Settings { name: "other".into(), ..server.settings() };
    let origins = origins_of(&[server.settings()]);
    let worker = origins.worker();
    get_body(&worker).await.unwrap();
    origins.change(&[Arc::new(server.settings()), Arc::new(other)], &[]);
    get_body(&worker).await.unwrap();
    assert_eq!(server.n_connections(), 1);
    assert!(worker.fetch("other", request("GET", "/")).await.is_ok());
}

#[tokio::test]
async fn a_changed_origin_is_asked_anew_and_a_request_under_way_ends_as_it_began() {
    let old =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 20003\r\n\r\nold".to_owned() + &"x".repeat(20_000)).await;
    let new = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew").await;
    let origins = origins_of(&[old.settings()]);
    let worker = origins.worker();
    let under_way = get(&worker).await.unwrap();
    origins.change(&[Arc::new(new.settings())], &[]);
    assert_eq!(get_body(&worker).await.unwrap(), b"new");
    assert_eq!(body(under_way).await.unwrap().len(), 20_003);
    origins.change(&[], &[]);
    assert!(get(&worker).await.is_err());
}

#[tokio::test]
async fn each_worker_has_its_own_connections_and_all_share_the_limit() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n".to_owned() + &"x".repeat(20_000)).await;
    let mut settings = server.settings();
    settings.limits.max_connections = 1;
    settings.limits.max_queue = 0;
    let origins = origins_of(&[settings]);
    let (first, second) = (origins.worker(), origins.worker());
    let held = get(&first).await.unwrap();
    assert!(get(&second).await.is_err());
    body(held).await.unwrap();
    get_body(&second).await.unwrap();
    assert_eq!(server.n_connections(), 2);
}
