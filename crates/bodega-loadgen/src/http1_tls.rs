//! HTTP/1.1 by TLS: a request under way, and what of its answer has come.

use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ClientConfig;

use crate::answer;
use crate::client::{Client, Expected, KEY_DIGITS, write_key};
use crate::records::{Opening, Sealing, from_secrets};
use crate::tls;

/// A connection on which one request is under way at a time.
pub(crate) struct Http1Tls {
    stream: TcpStream,
    opening: Opening,
    sealing: Sealing,
    request: Vec<u8>,
    key_at: usize,
    records: Vec<u8>,
    answer: Answer,
}

/// What of an answer has come.
struct Answer {
    head: Vec<u8>,
    /// What of the body is still to come, once the head is there; 0 while nothing is asked.
    missing: Option<usize>,
    /// The first body, until it was compared.
    kept: Option<Vec<u8>>,
}

impl Http1Tls {
    /// Connects, and waits until that is done.
    pub(crate) fn connect(
        port: u16,
        folder: &str,
        index: usize,
        configuration: &Arc<ClientConfig>,
    ) -> Result<Self, String> {
        let mut stream = tls::connect(port, index).map_err(|error| format!("connecting: {error}"))?;
        let (opening, sealing) = from_secrets(tls::handshake(&mut stream, configuration)?)?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let start = format!("GET /{folder}/");
        Ok(Self {
            stream: TcpStream::from_std(stream),
            opening,
            sealing,
            request: format!("{start}000000000000 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").into_bytes(),
            key_at: start.len(),
            records: Vec::new(),
            answer: Answer { head: Vec::new(), missing: Some(0), kept: Some(Vec::new()) },
        })
    }
}

impl Client for Http1Tls {
    fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn capacity(&self) -> usize {
        1
    }

    fn ask(&mut self, key: u64) -> Result<(), String> {
        write_key(&mut self.request[self.key_at..self.key_at + KEY_DIGITS], key);
        self.answer.head.clear();
        self.answer.missing = None;
        self.sealing.seal(&self.request, &mut self.records)
    }

    fn send(&mut self) -> Result<(), String> {
        tls::send_all(&mut self.stream, &self.records)?;
        self.records.clear();
        Ok(())
    }

    fn take(&mut self, expected: &Expected) -> Result<usize, String> {
        let path = &self.request[b"GET ".len()..self.key_at + KEY_DIGITS];
        loop {
            let may_be_more = self.opening.receive(&mut self.stream)?;
            while let Some(plain) = self.opening.open()? {
                if self.answer.missing == Some(0) {
                    return Err("more than one answer to one request".to_owned());
                }
                self.answer.add(plain, path, expected)?;
            }
            if self.answer.missing == Some(0) {
                return Ok(1);
            }
            if !may_be_more {
                return Ok(0);
            }
        }
    }
}

impl Answer {
    fn add(&mut self, plain: &[u8], path: &[u8], expected: &Expected) -> Result<(), String> {
        let body = if self.missing.is_some() {
            plain
        } else {
            let before = self.head.len();
            self.head.extend_from_slice(plain);
            let Some(head) = answer::read(&self.head)? else {
                return Ok(());
            };
            if head.body_bytes != expected.body_bytes {
                return Err(format!("a body of {} bytes: {}", head.body_bytes, answer::shown(&self.head)));
            }
            self.missing = Some(head.body_bytes);
            let body = &plain[head.length - before..];
            if expected.paths_in_bodies && !body.is_empty() && !body.starts_with(&path[..path.len().min(body.len())]) {
                return Err(format!("the body of another key: {}", answer::shown(body)));
            }
            body
        };
        let missing = self.missing.unwrap_or(0).checked_sub(body.len()).ok_or("more than one answer to one request")?;
        self.missing = Some(missing);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(body);
            if missing == 0 {
                if expected.body.as_ref().is_some_and(|whole| whole != kept) {
                    return Err("a body with other bytes than it should have".to_owned());
                }
                self.kept = None;
            }
        }
        Ok(())
    }
}
