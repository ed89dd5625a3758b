//! HTTP/2 by TLS (RFC 9113): many requests under way on one connection, and what of their answers has come.
//!
//! Windows are as wide as a browser's, so that they hold up no answer that is measured.

use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ClientConfig;

use crate::client::{Client, Expected, KEY_DIGITS, write_key};
use crate::records::{Opening, Sealing, from_secrets};
use crate::{answer, tls};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames (section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

// Flags.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

// Settings (section 6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

const FRAME_HEAD: usize = 9;
const FIRST_STREAM: u32 = 1;
const DEFAULT_WINDOW: u32 = 65_535;
const DEFAULT_HEADER_TABLE: u32 = 4_096;
const STREAM_WINDOW: u32 = 6 << 20;
const CONNECTION_WINDOW: u32 = 15 << 20;

/// A connection on which many requests are under way.
pub(crate) struct Http2 {
    stream: TcpStream,
    opening: Opening,
    sealing: Sealing,
    capacity: usize,
    authority: String,
    /// The fields of a request: only the key's digits change, once the server has the authority in its table.
    fields: Vec<u8>,
    key_at: usize,
    next_stream: u32,
    /// Frames to be sent.
    frames: Vec<u8>,
    records: Vec<u8>,
    receiving: Receiving,
}

/// What has come.
struct Receiving {
    /// The head of a frame, while it is not whole.
    head: Vec<u8>,
    frame: Frame,
    /// The payload of a frame that is no `DATA`.
    payload: Vec<u8>,
    /// How many answers may be under way.
    capacity: usize,
    under_way: Vec<Answer>,
    /// What of bodies came since the connection's window was widened.
    n_unacknowledged: u32,
    /// The first body, until it was compared.
    kept: Option<Vec<u8>>,
    has_settings: bool,
    folder: String,
}

#[derive(Clone, Copy, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    missing: usize,
    is_under_way: bool,
}

struct Answer {
    stream: u32,
    key: u64,
    has_head: bool,
    n_received: usize,
}

impl Http2 {
    /// Connects, and waits until the server has told its settings.
    pub(crate) fn connect(
        port: u16,
        folder: &str,
        index: usize,
        capacity: usize,
        configuration: &Arc<ClientConfig>,
    ) -> Result<Self, String> {
        let mut stream = tls::connect(port, index).map_err(|error| format!("connecting: {error}"))?;
        let (opening, sealing) = from_secrets(tls::handshake(&mut stream, configuration)?)?;
        let mut client = Self {
            stream: TcpStream::from_std(stream),
            opening,
            sealing,
            capacity,
            authority: format!("127.0.0.1:{port}"),
            fields: Vec::new(),
            key_at: 0,
            next_stream: FIRST_STREAM,
            frames: Vec::new(),
            records: Vec::new(),
            receiving: Receiving::new(folder, capacity),
        };
        client.begin()?;
        Ok(client)
    }

    fn begin(&mut self) -> Result<(), String> {
        self.frames.extend_from_slice(PREFACE);
        let settings = [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW)];
        frame_head(&mut self.frames, 6 * settings.len(), SETTINGS, 0, 0);
        for (name, value) in settings {
            self.frames.extend_from_slice(&name.to_be_bytes());
            self.frames.extend_from_slice(&value.to_be_bytes());
        }
        widen(&mut self.frames, CONNECTION_WINDOW - DEFAULT_WINDOW);
        self.send()?;
        let nothing = Expected { body_bytes: 0, paths_in_bodies: false, body: None };
        while !self.receiving.has_settings {
            self.take(&nothing)?;
        }
        self.send()?;
        // Until here the stream waits for what it reads.
        socket2::SockRef::from(&self.stream).set_nonblocking(true).map_err(|error| error.to_string())
    }

    /// The fields of a request (RFC 7541): the authority goes to the server's table with the first one.
    fn write_fields(&mut self, is_first: bool) {
        const METHOD_GET: u8 = 0x82;
        const SCHEME_HTTPS: u8 = 0x87;
        const PATH_NOT_INDEXED: u8 = 0x04;
        const AUTHORITY_INDEXED: u8 = 0x41;
        const NEWEST: u8 = 0x80 | 62;
        self.fields.clear();
        self.fields.extend_from_slice(&[METHOD_GET, SCHEME_HTTPS]);
        if is_first {
            self.fields.extend_from_slice(&[AUTHORITY_INDEXED, self.authority.len() as u8]);
            self.fields.extend_from_slice(self.authority.as_bytes());
        } else {
            self.fields.push(NEWEST);
        }
        let path = format!("/{}/", self.receiving.folder);
        self.fields.extend_from_slice(&[PATH_NOT_INDEXED, (path.len() + KEY_DIGITS) as u8]);
        self.fields.extend_from_slice(path.as_bytes());
        self.key_at = self.fields.len();
        self.fields.extend_from_slice(&[b'0'; KEY_DIGITS]);
    }
}

impl Client for Http2 {
    fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn ask(&mut self, key: u64) -> Result<(), String> {
        if self.next_stream <= FIRST_STREAM + 2 {
            self.write_fields(self.next_stream == FIRST_STREAM);
        }
        write_key(&mut self.fields[self.key_at..], key);
        frame_head(&mut self.frames, self.fields.len(), HEADERS, END_STREAM | END_HEADERS, self.next_stream);
        self.frames.extend_from_slice(&self.fields);
        self.receiving.under_way.push(Answer { stream: self.next_stream, key, has_head: false, n_received: 0 });
        self.next_stream += 2;
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        if !self.frames.is_empty() {
            self.records.clear();
            self.sealing.seal(&self.frames, &mut self.records)?;
            self.frames.clear();
            tls::send_all(&mut self.stream, &self.records)?;
        }
        Ok(())
    }

    fn take(&mut self, expected: &Expected) -> Result<usize, String> {
        let mut n_whole = 0;
        loop {
            let may_be_more = self.opening.receive(&mut self.stream)?;
            while let Some(plain) = self.opening.open()? {
                n_whole += self.receiving.add(plain, expected, &mut self.frames)?;
            }
            if !may_be_more {
                break;
            }
        }
        if self.receiving.n_unacknowledged > CONNECTION_WINDOW / 2 {
            widen(&mut self.frames, self.receiving.n_unacknowledged);
            self.receiving.n_unacknowledged = 0;
        }
        Ok(n_whole)
    }
}

impl Receiving {
    fn new(folder: &str, capacity: usize) -> Self {
        Self {
            head: Vec::with_capacity(FRAME_HEAD),
            frame: Frame::default(),
            payload: Vec::new(),
            capacity,
            under_way: Vec::with_capacity(capacity),
            n_unacknowledged: 0,
            kept: Some(Vec::new()),
            has_settings: false,
            folder: folder.to_owned(),
        }
    }

    fn add(&mut self, mut plain: &[u8], expected: &Expected, to_send: &mut Vec<u8>) -> Result<usize, String> {
        let mut n_whole = 0;
        while !plain.is_empty() {
            if !self.frame.is_under_way {
                let wanted = (FRAME_HEAD - self.head.len()).min(plain.len());
                self.head.extend_from_slice(&plain[..wanted]);
                plain = &plain[wanted..];
                if self.head.len() < FRAME_HEAD {
                    break;
                }
                self.begin_frame()?;
            }
            let (piece, rest) = plain.split_at(self.frame.missing.min(plain.len()));
            plain = rest;
            self.frame.missing -= piece.len();
            if self.frame.kind == DATA {
                self.body(piece, expected)?;
            } else {
                self.payload.extend_from_slice(piece);
            }
            if self.frame.missing == 0 {
                self.frame.is_under_way = false;
                n_whole += self.end_frame(expected, to_send)?;
            }
        }
        Ok(n_whole)
    }

    fn begin_frame(&mut self) -> Result<(), String> {
        let length = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]);
        self.frame = Frame {
            kind: self.head[3],
            flags: self.head[4],
            stream: u32::from_be_bytes([self.head[5], self.head[6], self.head[7], self.head[8]]),
            missing: length as usize,
            is_under_way: true,
        };
        self.head.clear();
        self.payload.clear();
        if self.frame.kind == DATA {
            self.n_unacknowledged += length;
            if self.frame.flags & PADDED != 0 {
                return Err("a padded frame".to_owned());
            }
        }
        Ok(())
    }

    fn body(&mut self, piece: &[u8], expected: &Expected) -> Result<(), String> {
        let stream = self.frame.stream;
        let Some(answer) = self.under_way.iter_mut().find(|answer| answer.stream == stream) else {
            return Err(format!("a body on stream {stream}, where none is due"));
        };
        if expected.paths_in_bodies && answer.n_received == 0 && !piece.is_empty() {
            let mut path = [b'0'; 64];
            let start = 1 + self.folder.len() + 1;
            path[0] = b'/';
            path[1..start - 1].copy_from_slice(self.folder.as_bytes());
            path[start - 1] = b'/';
            write_key(&mut path[start..start + KEY_DIGITS], answer.key);
            let common = piece.len().min(start + KEY_DIGITS);
            if piece[..common] != path[..common] {
                return Err(format!("the body of another key: {}", answer::shown(piece)));
            }
        }
        answer.n_received += piece.len();
        if stream == FIRST_STREAM
            && let Some(kept) = &mut self.kept
        {
            kept.extend_from_slice(piece);
        }
        Ok(())
    }

    fn end_frame(&mut self, expected: &Expected, to_send: &mut Vec<u8>) -> Result<usize, String> {
        let Frame { kind, flags, stream, .. } = self.frame;
        match kind {
            DATA => {}
            HEADERS => self.head_of_answer()?,
            SETTINGS if flags & ACK == 0 => {
                self.settings()?;
                frame_head(to_send, 0, SETTINGS, ACK, 0);
            }
            PING if flags & ACK == 0 => {
                frame_head(to_send, self.payload.len(), PING, ACK, 0);
                to_send.extend_from_slice(&self.payload);
            }
            SETTINGS | PING | WINDOW_UPDATE => {}
            _ => return Err(format!("a frame of type {kind} on stream {stream}: {:?}", self.payload)),
        }
        if !matches!(kind, DATA | HEADERS) || flags & END_STREAM == 0 {
            return Ok(0);
        }
        let Some(index) = self.under_way.iter().position(|answer| answer.stream == stream) else {
            return Err(format!("the end of stream {stream}, which is not open"));
        };
        let answer = self.under_way.swap_remove(index);
        if answer.n_received != expected.body_bytes {
            return Err(format!("a body of {} bytes", answer.n_received));
        }
        if stream == FIRST_STREAM
            && let (Some(kept), Some(whole)) = (self.kept.take(), &expected.body)
            && kept != *whole
        {
            return Err("a body with other bytes than it should have".to_owned());
        }
        Ok(1)
    }

    fn head_of_answer(&mut self) -> Result<(), String> {
        const STATUS_200: u8 = 0x88;
        let stream = self.frame.stream;
        if self.frame.flags & END_HEADERS == 0 || self.frame.flags & PADDED != 0 {
            return Err("a head that is padded, or longer than a frame".to_owned());
        }
        let Some(answer) = self.under_way.iter_mut().find(|answer| answer.stream == stream) else {
            return Err(format!("an answer on stream {stream}, where none is due"));
        };
        // The first may be preceded by new sizes of the table (RFC 7541 section 6.3).
        let fields = self.payload.iter().find(|&&byte| byte & 0xE0 != 0x20);
        if answer.has_head || fields != Some(&STATUS_200) {
            return Err(format!("not a 200: {:?}", self.payload));
        }
        answer.has_head = true;
        Ok(())
    }

    fn settings(&mut self) -> Result<(), String> {
        self.has_settings = true;
        for setting in self.payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            let too_few = name == MAX_CONCURRENT_STREAMS && (value as usize) < self.capacity;
            if too_few || name == HEADER_TABLE_SIZE && value < DEFAULT_HEADER_TABLE {
                return Err(format!("the server allows only {value} by its setting {name}"));
            }
        }
        Ok(())
    }
}

fn frame_head(frames: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    frames.extend_from_slice(&[high, middle, low, kind, flags]);
    frames.extend_from_slice(&stream.to_be_bytes());
}

/// Widens the connection's window.
fn widen(frames: &mut Vec<u8>, by: u32) {
    frame_head(frames, 4, WINDOW_UPDATE, 0, 0);
    frames.extend_from_slice(&by.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_200: &[u8] = &[0x20, 0x88];

    fn asked() -> Receiving {
        let mut receiving = Receiving::new("1k", 1);
        receiving.under_way.push(Answer { stream: 1, key: 5, has_head: false, n_received: 0 });
        receiving
    }

    fn expected() -> Expected {
        let body = b"/1k/000000000005 and more".to_vec();
        Expected { body_bytes: body.len(), paths_in_bodies: true, body: Some(body) }
    }

    fn frames(written: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut frames = Vec::new();
        for (kind, flags, stream, payload) in written {
            frame_head(&mut frames, payload.len(), *kind, *flags, *stream);
            frames.extend_from_slice(payload);
        }
        frames
    }

    #[test]
    fn an_answer_is_whole_in_whatever_pieces_it_comes() {
        let sent = frames(&[
            (SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 128]),
            (HEADERS, END_HEADERS, 1, HEAD_200),
            (DATA, 0, 1, b"/1k/000000000005"),
            (PING, 0, 0, &[7; 8]),
            (DATA, END_STREAM, 1, b" and more"),
        ]);
        for length in 1..sent.len() {
            let (mut receiving, mut to_send) = (asked(), Vec::new());
            let whole: usize =
                sent.chunks(length).map(|piece| receiving.add(piece, &expected(), &mut to_send).unwrap()).sum();
            assert_eq!(whole, 1, "in pieces of {length}");
            assert!(receiving.under_way.is_empty() && receiving.kept.is_none() && receiving.has_settings);
            assert_eq!(to_send, frames(&[(SETTINGS, ACK, 0, &[]), (PING, ACK, 0, &[7; 8])]));
            assert_eq!(receiving.n_unacknowledged, 25);
        }
    }

    #[test]
    fn other_answers_are_errors() {
        let right: (u8, u8, u32, &[u8]) = (HEADERS, END_HEADERS, 1, HEAD_200);
        for (what, sent) in [
            ("a 404", frames(&[(HEADERS, END_HEADERS, 1, &[0x8D])])),
            ("no body", frames(&[(HEADERS, END_HEADERS | END_STREAM, 1, HEAD_200)])),
            ("another key", frames(&[right, (DATA, END_STREAM, 1, b"/1k/000000000006 and more")])),
            ("other bytes", frames(&[right, (DATA, END_STREAM, 1, b"/1k/000000000005 and less")])),
            ("a stream that is not open", frames(&[(HEADERS, END_HEADERS, 3, HEAD_200)])),
            ("a reset", frames(&[(3, 0, 1, &[0; 4])])),
            ("too few streams", frames(&[(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])])),
        ] {
            assert!(asked().add(&sent, &expected(), &mut Vec::new()).is_err(), "{what}");
        }
    }
}
