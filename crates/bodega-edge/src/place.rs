//! Places in a journal as JSON: `{"journal": 32 digits, "epoch": 16 digits, "position": N, "chain": 32 digits}`.

use std::borrow::Cow;
use std::fmt::Write;

use bodega_store::invalidate::Place;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A place as it is written.
#[derive(Serialize, Deserialize)]
pub(crate) struct WrittenPlace {
    journal: Digits<16>,
    epoch: Digits<8>,
    position: u64,
    chain: Digits<16>,
}

impl From<Place> for WrittenPlace {
    fn from(place: Place) -> Self {
        let Place { journal, epoch, position, chain } = place;
        Self { journal: Digits(journal), epoch: Digits(epoch), position, chain: Digits(chain) }
    }
}

impl From<WrittenPlace> for Place {
    fn from(written: WrittenPlace) -> Self {
        let WrittenPlace { journal, epoch, position, chain } = written;
        Self { journal: journal.0, epoch: epoch.0, position, chain: chain.0 }
    }
}

/// Bytes written as hexadecimal digits, two each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Serialize for Digits<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digits(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Digits<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format!("{text:?} is not {} hexadecimal digits", 2 * N));
        if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; N];
        for (byte, two) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let two = std::str::from_utf8(two).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(two, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// `bytes` as hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
