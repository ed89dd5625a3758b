//! The chunked transfer coding (RFC 9112 section 7.1): an incremental decoder that copies nothing, and the encoder.
//! Extensions are skipped, trailer fields are dropped unless they are wanted, both within bounds; every line ends in
//! CRLF.
//! Start at `ChunkDecoder::decode`.
//!
//! ```text
//! chunk   = 1*16HEXDIG [ ";" extension ] CRLF data CRLF
//! last    = 1*16"0"    [ ";" extension ] CRLF
//! body    = *chunk last *( field-line CRLF ) CRLF
//! ```

use std::fmt;
use std::ops::Range;

use bodega_semantics::Fields;
use bodega_semantics::fields::{Block, is_token_byte};

/// What one call of `decode` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are done with.
    pub consumed: usize,
    /// Where body data lies in the input, within `..consumed`; empty if there is none.
    pub data: Range<usize>,
    /// Whether the body has ended. What follows `consumed` is the next message.
    pub done: bool,
}

/// A body that is not properly chunked. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkError {
    message: &'static str,
}

impl ChunkError {
    /// What was wrong, in words.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.message
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)
    }
}

impl std::error::Error for ChunkError {}

/// Reads one chunked body, however it is split over inputs.
#[derive(Clone, Debug)]
pub struct ChunkDecoder {
    state: State,
    /// Of the chunk being read: size while in its line, bytes left while in its data.
    remaining: u64,
    n_digits: u8,
    n_extension_bytes: usize,
    n_trailer_bytes: usize,
    /// The trailer section as it came, if it is wanted.
    trailers: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkDecoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Size, remaining: 0, n_digits: 0, n_extension_bytes: 0, n_trailer_bytes: 0, trailers: None }
    }

    /// One that keeps the trailer fields.
    #[must_use]
    pub fn keeping_trailers() -> Self {
        Self { trailers: Some(Vec::new()), ..Self::new() }
    }

    /// The trailer fields of a body that has ended, once. The first of them, where they are very many.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        let block = self.trailers.take_if(|block| self.state == State::Done && !block.is_empty())?;
        let mut fields = Fields::with_capacity(block.len());
        for field in Block(&block).into_fields().take(MAX_TRAILERS) {
            fields.push(field.name, field.value.trim_ascii());
        }
        Some(fields)
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads on, up to the end of one stretch of data, the end of the body or the end of `input`,
    /// whichever is first. Call again with what was not consumed.
    ///
    /// # Errors
    /// When the input is not chunked as the grammar says, or extensions or trailers are over their bounds.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                let left = input.len() - at;
                let n = usize::try_from(self.remaining).map_or(left, |remaining| remaining.min(left));
                if n > 0 {
                    self.remaining -= n as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step { consumed: at + n, data: at..at + n, done: false });
                }
            }
            let Some(&byte) = input.get(at) else {
                return Ok(Step { consumed: at, data: at..at, done: false });
            };
            self.state = self.after(byte)?;
            at += 1;
        }
        Ok(Step { consumed: at, data: at..at, done: true })
    }

    fn after(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size, b'\r') if self.n_digits > 0 => State::SizeLf,
            (State::Size, b';') if self.n_digits > 0 => State::Extension,
            (State::Size, _) => {
                self.add_digit(byte)?;
                State::Size
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) => {
                self.n_extension_bytes += 1;
                if self.n_extension_bytes > MAX_EXTENSION_BYTES {
                    return Err(ChunkError { message: "chunk extensions over the limit of bytes" });
                }
                check_text(byte)?;
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.n_digits = 0;
                if self.remaining == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.n_trailer_bytes += 1;
                if self.n_trailer_bytes > MAX_TRAILER_BYTES {
                    return Err(ChunkError { message: "trailer fields over the limit of bytes" });
                }
                if let Some(trailers) = &mut self.trailers {
                    trailers.push(byte);
                }
                after_in_trailer(self.state, byte)?
            }
            (State::EndLf, b'\n') => State::Done,
            (State::SizeLf | State::DataCr | State::DataLf | State::EndLf | State::Data | State::Done, _) => {
                return Err(ChunkError { message: "a chunk that does not end in CRLF" });
            }
        })
    }

    fn add_digit(&mut self, byte: u8) -> Result<(), ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Err(ChunkError { message: "a chunk size that is no number" }),
        };
        if self.n_digits == 0 {
            self.remaining = 0;
        }
        // Sixteen digits fill 64 bits exactly, so the shift below never loses one.
        if self.n_digits == MAX_SIZE_DIGITS {
            return Err(ChunkError { message: "a chunk size over 64 bits" });
        }
        self.n_digits += 1;
        self.remaining = (self.remaining << 4) | u64::from(digit);
        Ok(())
    }
}

fn after_in_trailer(state: State, byte: u8) -> Result<State, ChunkError> {
    match (state, byte) {
        (State::TrailerName, b':') => Ok(State::TrailerValue),
        (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => Ok(State::TrailerName),
        (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
        (State::TrailerValue, _) => check_text(byte).map(|()| State::TrailerValue),
        (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
        _ => Err(ChunkError { message: "a malformed trailer field" }),
    }
}

/// Visible, blank or obs-text; never CR, LF, NUL or another control.
fn check_text(byte: u8) -> Result<(), ChunkError> {
    if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
        Ok(())
    } else {
        Err(ChunkError { message: "a control character in a chunk line or trailer" })
    }
}

/// Appends the line before a chunk of `n_bytes`. A chunk of 0 would end the body, so nothing is written for one.
pub fn write_chunk_header(out: &mut Vec<u8>, n_bytes: usize) {
    if n_bytes == 0 {
        return;
    }
    let n_digits = (usize::BITS - n_bytes.leading_zeros()).div_ceil(4);
    for place in (0..n_digits).rev() {
        let digit = ((n_bytes >> (place * 4)) & 0xf) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// What ends a body: the last chunk, and no trailer.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const MAX_SIZE_DIGITS: u8 = 16;
/// Over the whole body: nobody uses extensions, and endless ones are an attack.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;
const MAX_TRAILER_BYTES: usize = 16 * 1024;
const MAX_TRAILERS: usize = 64;

#[cfg(test)]
mod tests;
