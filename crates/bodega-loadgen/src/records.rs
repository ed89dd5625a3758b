//! Records of TLS 1.3 with AES-128-GCM, opened where they were received (RFC 8446 section 5).
//!
//! rustls would copy what it opens twice and allocate for every record; whoever asks must stay cheaper than who answers.

use std::io::{ErrorKind, Read};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

const HEAD: usize = 5;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// What a record may hold in plain.
const MOST: usize = 16 << 10;
/// As much as is received at once: many records, so that few calls take all that has come.
const RECEIVED_AT_ONCE: usize = 256 << 10;

/// What opens records.
pub(crate) struct Opening {
    direction: Direction,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// What seals records.
pub(crate) struct Sealing {
    direction: Direction,
}

struct Direction {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

/// Makes both from what a handshake ended with.
pub(crate) fn from_secrets(secrets: ExtractedSecrets) -> Result<(Opening, Sealing), String> {
    let opening =
        Opening { direction: Direction::new(secrets.rx)?, buffer: vec![0; RECEIVED_AT_ONCE].into(), start: 0, end: 0 };
    Ok((opening, Sealing { direction: Direction::new(secrets.tx)? }))
}

impl Opening {
    /// Receives once; returns whether there may be more, as all room was taken.
    pub(crate) fn receive(&mut self, stream: &mut impl Read) -> Result<bool, String> {
        // What is left is less than one record, once all whole ones were opened.
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            let free = &mut self.buffer[self.end..];
            let wanted = free.len();
            return match stream.read(free) {
                Ok(0) => Err("the connection was closed within an answer".to_owned()),
                Ok(got) => {
                    self.end += got;
                    Ok(got == wanted)
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(format!("receiving: {error}")),
            };
        }
    }

    /// Opens the next whole record of application data, if one is there.
    pub(crate) fn open(&mut self) -> Result<Option<&[u8]>, String> {
        loop {
            let record = self.start..self.end;
            if record.len() < HEAD {
                return Ok(None);
            }
            let head: [u8; HEAD] = [0, 1, 2, 3, 4].map(|index| self.buffer[self.start + index]);
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            if record.len() < HEAD + length {
                return Ok(None);
            }
            let sealed = self.start + HEAD..self.start + HEAD + length;
            self.start = sealed.end;
            let nonce = self.direction.nonce();
            let plain = self
                .direction
                .key
                .open_in_place(nonce, Aad::from(head), &mut self.buffer[sealed.clone()])
                .map_err(|_| format!("a record that does not open: {head:?}"))?
                .len();
            // Nobody pads (section 5.4): the last byte is the type.
            let content = sealed.start..sealed.start + plain.saturating_sub(1);
            match self.buffer[content.end] {
                APPLICATION_DATA => return Ok(Some(&self.buffer[content])),
                // Tickets.
                HANDSHAKE => {}
                kind => return Err(format!("a record of type {kind}: {:?}", &self.buffer[content])),
            }
        }
    }
}

impl Sealing {
    /// Appends records that hold these bytes.
    pub(crate) fn seal(&mut self, plain: &[u8], records: &mut Vec<u8>) -> Result<(), String> {
        for piece in plain.chunks(MOST) {
            let length = piece.len() + 1 + AES_128_GCM.tag_len();
            let [high, low] = (length as u16).to_be_bytes();
            let head = [APPLICATION_DATA, 3, 3, high, low];
            records.extend_from_slice(&head);
            let start = records.len();
            records.extend_from_slice(piece);
            records.push(APPLICATION_DATA);
            let nonce = self.direction.nonce();
            let tag = self
                .direction
                .key
                .seal_in_place_separate_tag(nonce, Aad::from(head), &mut records[start..])
                .map_err(|_| "a record that cannot be sealed".to_owned())?;
            records.extend_from_slice(tag.as_ref());
        }
        Ok(())
    }
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, String> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            return Err("another cipher than AES-128-GCM".to_owned());
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).map_err(|error| error.to_string())?;
        let iv = iv.as_ref().try_into().map_err(|_| "an initialization vector of another length".to_owned())?;
        Ok(Self { key: LessSafeKey::new(key), iv, sequence })
    }

    /// The nonce of the next record (section 5.3).
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, counted) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= counted;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(sequence: u64) -> Direction {
        let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).unwrap();
        Direction { key: LessSafeKey::new(key), iv: [9; NONCE_LEN], sequence }
    }

    fn opening() -> Opening {
        Opening { direction: direction(3), buffer: vec![0; RECEIVED_AT_ONCE].into(), start: 0, end: 0 }
    }

    #[test]
    fn what_was_sealed_opens_in_whatever_pieces_it_comes() {
        let sent: Vec<u8> = (0..40_000_u32).map(|index| index as u8).collect();
        let mut records = Vec::new();
        Sealing { direction: direction(3) }.seal(&sent, &mut records).unwrap();
        for piece in [1, 4, 5, 6, 1_000, 16_500, records.len()] {
            let mut opening = opening();
            let mut got = Vec::new();
            for mut piece in records.chunks(piece) {
                opening.receive(&mut piece).unwrap();
                while let Some(plain) = opening.open().unwrap() {
                    got.extend_from_slice(plain);
                }
            }
            assert!(got == sent, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_record_out_of_order_or_changed_does_not_open() {
        let mut records = Vec::new();
        Sealing { direction: direction(4) }.seal(b"later", &mut records).unwrap();
        let mut opening = opening();
        opening.receive(&mut &records[..]).unwrap();
        assert!(opening.open().is_err());
    }

    #[test]
    fn the_end_of_the_connection_is_an_error() {
        assert!(opening().receive(&mut &[][..]).is_err());
    }
}
