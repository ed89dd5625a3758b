//! Connections that are made, asked once, and closed: what counts is the handshake.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::arguments::Arguments;
use crate::drive::{Asking, Count, wait};
use crate::tls::{self, Tls, Version};
use crate::{answer, client};

/// How handshakes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshakes {
    /// Each with a signature of the server.
    Full(Version),
    /// Each with the ticket of the one before.
    Resumed(Version),
}

/// Makes handshakes, so many at a time as there are connections.
///
/// Fails at the first that is not of the kind that was asked for, or whose request is answered wrongly.
pub(crate) fn drive(arguments: &Arguments, tls: &Tls, handshakes: Handshakes) -> Result<Count, String> {
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut events = Events::with_capacity(arguments.connections);
    let mut asking = Asking::new(arguments);
    let mut slots = (0..arguments.connections).map(|_| Slot::new(tls, handshakes)).collect::<Result<Vec<_>, _>>()?;
    let mut under_way = 0_usize;
    for (index, slot) in slots.iter_mut().enumerate() {
        if let Some(key) = asking.next() {
            slot.begin(arguments, key, asking.asked, &poll, Token(index))?;
            under_way += 1;
        }
    }
    while under_way > 0 {
        wait(&mut poll, &mut events, arguments.awake)?;
        for event in &events {
            let Token(index) = event.token();
            if !slots[index].go_on(arguments)? {
                continue;
            }
            slots[index].end(&poll)?;
            under_way -= 1;
            if let Some(key) = asking.next() {
                slots[index].begin(arguments, key, asking.asked, &poll, Token(index))?;
                under_way += 1;
            }
        }
    }
    Ok(asking.count())
}

/// One connection after the other; each resumes the session of the one before, if it may.
struct Slot {
    configuration: Arc<ClientConfig>,
    kind: HandshakeKind,
    next_kind: HandshakeKind,
    open: Option<Open>,
}

struct Open {
    stream: TcpStream,
    connection: ClientConnection,
    request: Vec<u8>,
    received: Vec<u8>,
    is_asked: bool,
}

impl Slot {
    fn new(tls: &Tls, handshakes: Handshakes) -> Result<Self, String> {
        let (version, resumption, next_kind) = match handshakes {
            Handshakes::Full(version) => (version, Resumption::disabled(), HandshakeKind::Full),
            Handshakes::Resumed(version) => (version, Resumption::in_memory_sessions(1), HandshakeKind::Resumed),
        };
        let configuration = tls.configuration(version, "http/1.1", resumption)?;
        // The first of each slot has no ticket yet.
        Ok(Self { configuration, kind: HandshakeKind::Full, next_kind, open: None })
    }

    fn begin(&mut self, arguments: &Arguments, key: u64, number: u64, poll: &Poll, token: Token) -> Result<(), String> {
        let stream = tls::connect(arguments.port, number as usize).map_err(|error| format!("connecting: {error}"))?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let mut digits = [0; client::KEY_DIGITS];
        client::write_key(&mut digits, key);
        let mut open = Open {
            stream: TcpStream::from_std(stream),
            connection: tls::begin(&self.configuration)?,
            request: format!(
                "GET /{}/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
                arguments.folder,
                String::from_utf8_lossy(&digits),
                arguments.port
            )
            .into_bytes(),
            received: Vec::new(),
            is_asked: false,
        };
        poll.registry().register(&mut open.stream, token, Interest::READABLE).map_err(|error| error.to_string())?;
        open.write()?;
        self.open = Some(open);
        Ok(())
    }

    /// Takes what has come; returns whether the answer is whole.
    fn go_on(&mut self, arguments: &Arguments) -> Result<bool, String> {
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        loop {
            match open.connection.read_tls(&mut open.stream) {
                Ok(0) => return Err("the connection was closed before its request was answered".to_owned()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("receiving: {error}")),
            }
            let state = open.connection.process_new_packets().map_err(|error| format!("handshake: {error}"))?;
            let before = open.received.len();
            open.received.resize(before + state.plaintext_bytes_to_read(), 0);
            open.connection.reader().read_exact(&mut open.received[before..]).map_err(|error| error.to_string())?;
        }
        if !open.connection.is_handshaking() && !open.is_asked {
            if open.connection.handshake_kind() != Some(self.kind) {
                return Err(format!("a handshake of kind {:?}", open.connection.handshake_kind()));
            }
            // A session of TLS 1.2 is resumed without any.
            if self.kind == HandshakeKind::Full {
                tls::check_key_exchange(&open.connection)?;
            }
            open.is_asked = true;
            open.connection.writer().write_all(&open.request).map_err(|error| error.to_string())?;
        }
        open.write()?;
        match answer::read(&open.received)? {
            Some(head) if head.body_bytes != arguments.body_bytes => {
                Err(format!("a body of {} bytes", head.body_bytes))
            }
            Some(head) => Ok(open.received.len() == head.length + head.body_bytes),
            None => Ok(false),
        }
    }

    fn end(&mut self, poll: &Poll) -> Result<(), String> {
        if let Some(mut open) = self.open.take() {
            open.connection.send_close_notify();
            open.write()?;
            poll.registry().deregister(&mut open.stream).map_err(|error| error.to_string())?;
        }
        self.kind = self.next_kind;
        Ok(())
    }
}

impl Open {
    fn write(&mut self) -> Result<(), String> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }
}
