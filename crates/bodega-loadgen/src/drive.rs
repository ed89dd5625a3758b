//! The loop: every connection asks, and asks again when it was answered, until it is time to stop.

use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::arguments::{Arguments, Until};
use crate::client::{Client, Expected};
use crate::keys::Keys;

/// How long no answer at all may come before the server is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was done.
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
}

/// Makes the load.
///
/// Fails at the first answer that is wrong.
pub(crate) fn drive(arguments: &Arguments) -> Result<Count, String> {
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut clients = connect(arguments, &poll)?;
    let mut events = Events::with_capacity(clients.len());
    let mut asking = Asking { keys: arguments.keys, until: arguments.until, began: Instant::now(), asked: 0 };
    let expected = Expected { body_bytes: arguments.body_bytes, paths_in_bodies: arguments.paths_in_bodies };

    let mut under_way = 0_u64;
    for client in &mut clients {
        if let Some(key) = asking.next() {
            client.ask(key)?;
            under_way += 1;
        }
    }
    while under_way > 0 {
        wait(&mut poll, &mut events, arguments.awake)?;
        for event in &events {
            let client = &mut clients[event.token().0];
            if !client.is_waiting() || !client.take(&expected)? {
                continue;
            }
            under_way -= 1;
            if let Some(key) = asking.next() {
                client.ask(key)?;
                under_way += 1;
            }
        }
    }
    Ok(Count { requests: asking.asked, elapsed: asking.began.elapsed() })
}

fn connect(arguments: &Arguments, poll: &Poll) -> Result<Vec<Client>, String> {
    (0..arguments.connections)
        .map(|index| {
            let mut client = Client::connect(arguments.port, &arguments.folder)?;
            poll.registry().register(&mut client.stream, Token(index), Interest::READABLE)?;
            Ok(client)
        })
        .collect::<std::io::Result<_>>()
        .map_err(|error| format!("connecting to port {}: {error}", arguments.port))
}

fn wait(poll: &mut Poll, events: &mut Events, awake: bool) -> Result<(), String> {
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
struct Asking {
    keys: Keys,
    until: Until,
    began: Instant,
    asked: u64,
}

impl Asking {
    fn next(&mut self) -> Option<u64> {
        let goes_on = match self.until {
            Until::Elapsed(time) => self.began.elapsed() < time,
            Until::Asked(count) => self.asked < count,
        };
        goes_on.then(|| {
            self.asked += 1;
            self.keys.next()
        })
    }
}
