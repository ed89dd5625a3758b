//! The loop: every connection asks, and asks again when it was answered, until it is time to stop.

use std::io::Read;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::client::Resumption;

use crate::arguments::{Arguments, Until};
use crate::client::{Client, Expected};
use crate::http1::Http1;
use crate::http1_tls::Http1Tls;
use crate::http2::Http2;
use crate::keys::Keys;
use crate::post::Post;
use crate::tls::{Tls, Version};

/// How long no answer at all may come before the server is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What was done.
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
}

/// Makes the load.
///
/// Fails at the first answer that is wrong.
pub(crate) fn drive(arguments: &Arguments, tls: Option<&Tls>) -> Result<Count, String> {
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut clients = connect(arguments, tls)?;
    for (index, client) in clients.iter_mut().enumerate() {
        poll.registry()
            .register(client.socket(), Token(index), Interest::READABLE)
            .map_err(|error| error.to_string())?;
    }
    let mut events = Events::with_capacity(clients.len());
    let mut asking = Asking::new(arguments);
    let expected = expected(arguments)?;

    let mut under_way = 0;
    for client in &mut clients {
        let capacity = client.capacity();
        under_way += asking.ask(client.as_mut(), capacity)?;
    }
    while under_way > 0 {
        wait(&mut poll, &mut events, arguments.awake)?;
        for event in &events {
            let client = clients[event.token().0].as_mut();
            let n_answered = client.take(&expected)?;
            under_way -= n_answered;
            under_way += asking.ask(client, n_answered)?;
        }
    }
    Ok(asking.count())
}

/// Connects, asks once on each connection, and keeps them all until standard input ends.
pub(crate) fn hold(arguments: &Arguments, tls: Option<&Tls>, held: impl FnOnce()) -> Result<Count, String> {
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut events = Events::with_capacity(1);
    let mut asking = Asking::new(arguments);
    let expected = expected(arguments)?;
    let mut clients = Vec::with_capacity(arguments.connections);
    for index in 0..arguments.connections {
        let mut client = connect_one(arguments, tls, index)?;
        poll.registry()
            .register(client.socket(), Token(index), Interest::READABLE)
            .map_err(|error| error.to_string())?;
        let mut under_way = asking.ask(client.as_mut(), 1)?;
        while under_way > 0 {
            wait(&mut poll, &mut events, arguments.awake)?;
            under_way -= client.take(&expected)?;
            // What a protocol answers by itself.
            client.send()?;
        }
        poll.registry().deregister(client.socket()).map_err(|error| error.to_string())?;
        clients.push(client);
    }
    held();
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    Ok(asking.count())
}

/// Makes the connections.
pub(crate) fn connect(arguments: &Arguments, tls: Option<&Tls>) -> Result<Vec<Box<dyn Client>>, String> {
    (0..arguments.connections)
        .map(|index| connect_one(arguments, tls, index))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("port {}: {error}", arguments.port))
}

fn connect_one(arguments: &Arguments, tls: Option<&Tls>, index: usize) -> Result<Box<dyn Client>, String> {
    let Arguments { port, folder, streams, .. } = arguments;
    if let Some(template) = &arguments.post {
        return Ok(Box::new(Post::connect(*port, template).map_err(|error| format!("connecting: {error}"))?));
    }
    let configuration = |tls: &Tls, alpn| tls.configuration(Version::Tls13, alpn, Resumption::disabled());
    Ok(match (tls, streams) {
        (None, None) => Box::new(Http1::connect(*port, folder).map_err(|error| format!("connecting: {error}"))?),
        (Some(tls), None) => Box::new(Http1Tls::connect(*port, folder, index, &configuration(tls, "http/1.1")?)?),
        (Some(tls), Some(streams)) => {
            Box::new(Http2::connect(*port, folder, index, *streams, &configuration(tls, "h2")?)?)
        }
        (None, Some(_)) => return Err("HTTP/2 is spoken by TLS only: --tls is missing".to_owned()),
    })
}

/// What is the same for every request.
pub(crate) fn expected(arguments: &Arguments) -> Result<Expected, String> {
    let body = match &arguments.body {
        Some(file) => Some(std::fs::read(file).map_err(|error| format!("{file}: {error}"))?),
        None => None,
    };
    Ok(Expected { body_bytes: arguments.body_bytes, paths_in_bodies: arguments.paths_in_bodies, body })
}

/// Waits until something has come.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events, awake: bool) -> Result<(), String> {
    let began = Instant::now();
    let timeout = if awake { Duration::ZERO } else { PATIENCE };
    loop {
        match poll.poll(events, Some(timeout)) {
            Ok(()) if !events.is_empty() => return Ok(()),
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
        if began.elapsed() >= PATIENCE {
            return Err(format!("no answer within {} s", PATIENCE.as_secs()));
        }
    }
}

/// What is asked, and when it ends.
pub(crate) struct Asking {
    keys: Keys,
    until: Until,
    began: Instant,
    pub(crate) asked: u64,
}

impl Asking {
    /// Begins now.
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Self { keys: arguments.keys.clone(), until: arguments.until, began: Instant::now(), asked: 0 }
    }

    /// The next key, unless it is time to stop.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let goes_on = match self.until {
            Until::Elapsed(time) => self.began.elapsed() < time,
            Until::Asked(count) => self.asked < count,
        };
        goes_on.then(|| {
            self.asked += 1;
            self.keys.next()
        })
    }

    /// What was done.
    pub(crate) fn count(&self) -> Count {
        Count { requests: self.asked, elapsed: self.began.elapsed() }
    }

    /// Asks so many times on one connection, or less often if it is time to stop; returns how often.
    fn ask(&mut self, client: &mut dyn Client, times: usize) -> Result<usize, String> {
        let mut n_asked = 0;
        while n_asked < times
            && let Some(key) = self.next()
        {
            client.ask(key)?;
            n_asked += 1;
        }
        client.send()?;
        Ok(n_asked)
    }
}
