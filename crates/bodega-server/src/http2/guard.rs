//! Counts what a client sends that asks for work and carries none: the frames that floods are made of.
//!
//! It reads along the heads of frames (RFC 9113 section 4.1) and leaves their meaning to the `h2` crate. Each kind has a
//! budget that grows with what the client is served, so that a long download may be accompanied by as many window
//! updates as it needs.

/// What a client can do too much of, or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Misuse {
    /// Streams that are reset as soon as they are opened (CVE-2023-44487).
    RapidReset,
    Settings,
    Ping,
    Priority,
    WindowUpdate,
    /// DATA without bytes that does not end a stream.
    EmptyData,
    /// Header blocks in many pieces (CVE-2024-27316).
    Continuation,
    /// Frames of types that nobody knows.
    Unknown,
    /// Something else that the `h2` crate had too much of: streams that it has to reset (CVE-2025-8671), heads that unfold
    /// to many times what may be, DATA with hardly any bytes.
    Excess,
    /// Broke the protocol.
    Protocol,
    /// Took nothing of an answer for too long.
    Stalled,
}

impl Misuse {
    pub(crate) const ALL: [Self; 11] = [
        Self::RapidReset,
        Self::Settings,
        Self::Ping,
        Self::Priority,
        Self::WindowUpdate,
        Self::EmptyData,
        Self::Continuation,
        Self::Unknown,
        Self::Excess,
        Self::Protocol,
        Self::Stalled,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid_reset",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::Priority => "priority",
            Self::WindowUpdate => "window_update",
            Self::EmptyData => "empty_data",
            Self::Continuation => "continuation",
            Self::Unknown => "unknown_frames",
            Self::Excess => "excess",
            Self::Protocol => "protocol",
            Self::Stalled => "stalled",
        }
    }

    /// How many more of its frames than were earned there may be.
    const fn allowance(self) -> u32 {
        match self {
            Self::Settings | Self::EmptyData => 32,
            Self::Continuation => 64,
            Self::RapidReset | Self::Ping | Self::Unknown => 256,
            Self::Priority => 1024,
            Self::WindowUpdate => 4096,
            Self::Excess | Self::Protocol | Self::Stalled => u32::MAX,
        }
    }
}

/// Reads along what a client sends.
pub(crate) struct Guard {
    /// Bytes to skip: the preface, then what follows each head.
    skip: usize,
    head: [u8; HEAD_BYTES],
    n_head: usize,
    spent: [u32; N_COUNTED],
    n_answered: u32,
    earned: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self { skip: PREFACE_BYTES, head: [0; HEAD_BYTES], n_head: 0, spent: [0; N_COUNTED], n_answered: 0, earned: 0 }
    }
}

impl Guard {
    /// Reads along.
    pub(crate) fn watch(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let n_bytes = self.skip.min(bytes.len());
                self.skip -= n_bytes;
                bytes = &bytes[n_bytes..];
                continue;
            }
            let n_bytes = (HEAD_BYTES - self.n_head).min(bytes.len());
            self.head[self.n_head..self.n_head + n_bytes].copy_from_slice(&bytes[..n_bytes]);
            self.n_head += n_bytes;
            bytes = &bytes[n_bytes..];
            if self.n_head == HEAD_BYTES {
                self.n_head = 0;
                self.frame();
            }
        }
    }

    /// An answer was given, of so many bytes, and the client took it.
    pub(crate) fn earn(&mut self, n_bytes: usize) {
        self.n_answered = self.n_answered.saturating_add(1);
        let earned = 2 + u32::try_from(n_bytes / BYTES_A_FRAME).unwrap_or(u32::MAX / 2);
        self.earned = self.earned.saturating_add(earned);
    }

    /// What there is too much of.
    pub(crate) fn misuse(&self) -> Option<Misuse> {
        COUNTED.into_iter().find(|misuse| {
            let allowance = misuse.allowance();
            let earned = match misuse {
                // Counted since a frame that carried something.
                Misuse::EmptyData | Misuse::Continuation => 0,
                Misuse::RapidReset => self.n_answered,
                Misuse::Settings | Misuse::Unknown => self.n_answered / ANSWERS_A_SETTING,
                _ => self.earned,
            };
            self.spent[*misuse as usize] > allowance.saturating_add(earned)
        })
    }

    /// What the `h2` crate has ended the connection for, which has limits of its own and does not tell which.
    pub(crate) fn excess(&self) -> Misuse {
        let resets = self.spent[Misuse::RapidReset as usize].saturating_sub(self.n_answered);
        if let Some(misuse) = self.misuse() {
            misuse
        } else if self.spent[Misuse::Continuation as usize] >= CONTINUATIONS_OF_H2 {
            Misuse::Continuation
        } else if resets as usize >= MAX_RESET_UNSEEN {
            Misuse::RapidReset
        } else {
            Misuse::Excess
        }
    }

    fn frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        let n_bytes = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.skip = n_bytes;
        let misuse = match kind {
            DATA if n_bytes == 0 && flags & END_STREAM == 0 => Misuse::EmptyData,
            PRIORITY | PRIORITY_UPDATE => Misuse::Priority,
            RST_STREAM => Misuse::RapidReset,
            SETTINGS => Misuse::Settings,
            PING => Misuse::Ping,
            WINDOW_UPDATE => Misuse::WindowUpdate,
            CONTINUATION => Misuse::Continuation,
            DATA => {
                self.spent[Misuse::EmptyData as usize] = 0;
                return;
            }
            HEADERS => {
                self.spent[Misuse::Continuation as usize] = 0;
                return;
            }
            PUSH_PROMISE | GOAWAY => return,
            _ => Misuse::Unknown,
        };
        let spent = &mut self.spent[misuse as usize];
        *spent = spent.saturating_add(1);
    }
}

const COUNTED: [Misuse; N_COUNTED] = [
    Misuse::RapidReset,
    Misuse::Settings,
    Misuse::Ping,
    Misuse::Priority,
    Misuse::WindowUpdate,
    Misuse::EmptyData,
    Misuse::Continuation,
    Misuse::Unknown,
];
const N_COUNTED: usize = 8;
/// Streams that may be reset before they were looked at.
pub(crate) const MAX_RESET_UNSEEN: usize = 32;
/// The `h2` crate ends a header block in more pieces than the longest head needs, and never one in fewer.
const CONTINUATIONS_OF_H2: u32 = 5;
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
/// One more change of settings is allowed for so many answers.
const ANSWERS_A_SETTING: u32 = 16;
/// One more window update, ping or reset is allowed for so much of a body.
const BYTES_A_FRAME: usize = 2 * 1024;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
/// RFC 9218 section 7.1.
const PRIORITY_UPDATE: u8 = 0x10;
const END_STREAM: u8 = 0x1;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, (payload >> 8) as u8, payload as u8, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD_BYTES + payload, 7);
        bytes
    }

    fn watched(frames: &[u8], piece: usize) -> Guard {
        let mut guard = Guard::default();
        let bytes = [&[0; PREFACE_BYTES][..], frames].concat();
        bytes.chunks(piece).for_each(|bytes| guard.watch(bytes));
        guard
    }

    #[test]
    fn each_kind_has_its_budget_however_the_bytes_come() {
        for (kind, flags, payload, misuse) in [
            (RST_STREAM, 0, 4, Misuse::RapidReset),
            (SETTINGS, 0, 6, Misuse::Settings),
            (PING, 0, 8, Misuse::Ping),
            (PRIORITY, 0, 5, Misuse::Priority),
            (PRIORITY_UPDATE, 0, 9, Misuse::Priority),
            (WINDOW_UPDATE, 0, 4, Misuse::WindowUpdate),
            (DATA, 0, 0, Misuse::EmptyData),
            (CONTINUATION, 0, 100, Misuse::Continuation),
            (0x2a, 0, 300, Misuse::Unknown),
        ] {
            let allowed = frame(kind, flags, payload).repeat(misuse.allowance() as usize);
            for piece in [1, 13, 4096] {
                let mut guard = watched(&allowed, piece);
                assert_eq!(guard.misuse(), None, "{misuse:?}");
                guard.watch(&frame(kind, flags, payload));
                assert_eq!(guard.misuse(), Some(misuse));
            }
        }
    }

    #[test]
    fn what_carries_something_is_free() {
        let frames = [frame(DATA, 0, 100), frame(DATA, END_STREAM, 0), frame(HEADERS, 4, 30)].concat();
        let guard = watched(&frames.repeat(10_000), 8192);
        assert_eq!(guard.misuse(), None);
    }

    #[test]
    fn pieces_of_header_blocks_are_counted_for_each_block() {
        let block = [frame(HEADERS, 0, 30), frame(CONTINUATION, 4, 100).repeat(2)].concat();
        assert_eq!(watched(&block.repeat(1_000), 4096).misuse(), None);
    }

    #[test]
    fn what_the_crate_ends_is_told_by_what_came() {
        for (frames, excess) in [
            (frame(SETTINGS, 0, 6).repeat(3), Misuse::Excess),
            (frame(SETTINGS, 0, 6).repeat(33), Misuse::Settings),
            (frame(RST_STREAM, 0, 4).repeat(31), Misuse::Excess),
            (frame(RST_STREAM, 0, 4).repeat(32), Misuse::RapidReset),
            (frame(CONTINUATION, 0, 100).repeat(5), Misuse::Continuation),
            (frame(DATA, 8, 256).repeat(1000), Misuse::Excess),
        ] {
            assert_eq!(watched(&frames, 4096).excess(), excess);
        }
    }

    #[test]
    fn being_served_earns_more() {
        let mut guard = watched(&frame(WINDOW_UPDATE, 0, 4).repeat(5_000), 4096);
        assert_eq!(guard.misuse(), Some(Misuse::WindowUpdate));
        guard.earn(2 * 1024 * 1024);
        assert_eq!(guard.misuse(), None);
    }
}
