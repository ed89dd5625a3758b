//! Bytes of a body on their way through the `h2` crate: a reference to what holds them, never a copy.

use std::sync::Arc;

use bodega_edge::reader::Piece;
use bytes::Buf;

use crate::http2::turns::Turns;

/// A range of a piece. While it waits it counts as queued on its connection.
pub(crate) struct Chunk {
    piece: Held,
    at: usize,
    end: usize,
    turns: Arc<Turns>,
}

enum Held {
    Alone(Piece),
    Shared(Arc<Piece>),
}

impl Chunk {
    /// All of `piece`.
    pub(crate) fn whole(piece: Piece, turns: &Arc<Turns>) -> Self {
        let end = piece.as_ref().len();
        turns.queue(end);
        Self { piece: Held::Alone(piece), at: 0, end, turns: Arc::clone(turns) }
    }

    /// The bytes `from..to` of `piece`.
    pub(crate) fn part(piece: &Arc<Piece>, from: usize, to: usize, turns: &Arc<Turns>) -> Self {
        let end = to.min(piece.as_ref().as_ref().len());
        let at = from.min(end);
        turns.queue(end - at);
        Self { piece: Held::Shared(Arc::clone(piece)), at, end, turns: Arc::clone(turns) }
    }

    /// Nothing, to end a body with.
    pub(crate) fn empty(turns: &Arc<Turns>) -> Self {
        Self::whole(Piece::from(bytes::Bytes::new()), turns)
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn chunk(&self) -> &[u8] {
        let bytes = match &self.piece {
            Held::Alone(piece) => piece.as_ref(),
            Held::Shared(piece) => piece.as_ref().as_ref(),
        };
        bytes.get(self.at..self.end).unwrap_or_default()
    }

    fn advance(&mut self, n_bytes: usize) {
        let n_bytes = n_bytes.min(self.remaining());
        self.at += n_bytes;
        self.turns.sent(n_bytes);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.at < self.end {
            self.turns.sent(self.end - self.at);
        }
    }
}
