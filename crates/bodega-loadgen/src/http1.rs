//! HTTP/1.1 in plain: a request under way, and what of its answer has come.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::SockRef;

use crate::answer;
use crate::client::{Client, Expected, KEY_DIGITS, write_key};

/// As much as one receive drops at most.
const DROPPED_AT_ONCE: usize = 1 << 20;

/// A connection on which one request is under way at a time.
pub(crate) struct Http1 {
    stream: TcpStream,
    /// `GET `, the path, and the rest: only the key's twelve digits change.
    request: Vec<u8>,
    key_at: usize,
    is_unsent: bool,
    received: Box<[u8]>,
    n_received: usize,
    /// What of the body is still to come, once the head is there; 0 while nothing is asked.
    missing: Option<usize>,
    /// Stands for what is dropped; nothing is ever written here, so that it takes no memory.
    unwritten: Box<[MaybeUninit<u8>]>,
}

impl Http1 {
    /// Connects, and waits until that is done.
    pub(crate) fn connect(port: u16, folder: &str) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let start = format!("GET /{folder}/");
        Ok(Self {
            stream: TcpStream::from_std(stream),
            request: format!("{start}000000000000 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").into_bytes(),
            key_at: start.len(),
            is_unsent: false,
            received: vec![0; 8 << 10].into(),
            n_received: 0,
            missing: Some(0),
            unwritten: Box::new_uninit_slice(DROPPED_AT_ONCE),
        })
    }

    /// Looks at the answer's beginning; returns what of its body is missing, once the head is there.
    fn read_head(&self, expected: &Expected) -> Result<Option<usize>, String> {
        let received = &self.received[..self.n_received];
        let Some(head) = answer::read(received)? else {
            if self.n_received == self.received.len() {
                return Err("a head of more than 8 KiB".to_owned());
            }
            return Ok(None);
        };
        if head.body_bytes != expected.body_bytes {
            return Err(format!("a body of {} bytes: {}", head.body_bytes, answer::shown(received)));
        }
        let body = &received[head.length..];
        if expected.paths_in_bodies {
            let path = &self.request[b"GET ".len()..self.key_at + KEY_DIGITS];
            let common = body.len().min(path.len());
            if body[..common] != path[..common] {
                return Err(format!("the body of another key: {}", answer::shown(body)));
            }
        }
        head.body_bytes
            .checked_sub(body.len())
            .map(Some)
            .ok_or_else(|| format!("more than one answer to one request: {}", answer::shown(received)))
    }

    /// Drops up to `length` bytes of the body within the kernel, without copying them (tcp(7), `MSG_TRUNC`).
    fn drop_body(&mut self, length: usize) -> io::Result<usize> {
        SockRef::from(&self.stream).recv_with_flags(&mut self.unwritten[..length], libc::MSG_TRUNC)
    }
}

impl Client for Http1 {
    fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn capacity(&self) -> usize {
        1
    }

    fn ask(&mut self, key: u64) -> Result<(), String> {
        write_key(&mut self.request[self.key_at..self.key_at + KEY_DIGITS], key);
        self.n_received = 0;
        self.missing = None;
        self.is_unsent = true;
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        if !self.is_unsent {
            return Ok(());
        }
        self.is_unsent = false;
        // Nothing else is on its way: a request always fits the socket's buffer.
        self.stream.write_all(&self.request).map_err(|error| format!("sending: {error}"))
    }

    fn take(&mut self, expected: &Expected) -> Result<usize, String> {
        while self.missing != Some(0) {
            let (wanted, got) = match self.missing {
                Some(missing) => {
                    let wanted = missing.min(DROPPED_AT_ONCE);
                    (wanted, self.drop_body(wanted))
                }
                None => {
                    let free = &mut self.received[self.n_received..];
                    (free.len(), self.stream.read(free))
                }
            };
            let got = match got {
                Ok(0) => return Err("the connection was closed within an answer".to_owned()),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("receiving: {error}")),
            };
            match &mut self.missing {
                Some(missing) => *missing -= got,
                None => {
                    self.n_received += got;
                    self.missing = self.read_head(expected)?;
                }
            }
            if self.missing == Some(0) {
                return Ok(1);
            }
            // Less than there was room for: all is taken, and what comes later is told anew.
            if got < wanted {
                return Ok(0);
            }
        }
        Ok(0)
    }
}
