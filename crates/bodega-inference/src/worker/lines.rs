//! What a worker prints, as lines of the edge's log: bounded in length, and in number a second.

use std::time::{Duration, Instant};

/// Cuts bytes into lines.
pub(super) struct Lines {
    begun: Vec<u8>,
    is_cut: bool,
    second: Instant,
    n_this_second: usize,
    n_dropped: u64,
}

impl Lines {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: Vec::new(), is_cut: false, second: now, n_this_second: 0, n_dropped: 0 }
    }

    /// Takes what was printed, and says the lines that are complete.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant, say: &mut impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = MAX_LINE_BYTES - self.begun.len();
            self.is_cut |= text.len() > room;
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            if is_whole {
                self.end_line(now, say);
            }
        }
    }

    /// Whether lines were dropped of which nothing was said yet: `tell_dropped` is to be called in a moment.
    pub(super) fn has_dropped(&self) -> bool {
        self.n_dropped > 0
    }

    /// Says what is left, at the worker's end.
    pub(super) fn finish(&mut self, now: Instant, say: &mut impl FnMut(&str)) {
        self.end_line(now, say);
        self.tell_dropped(say);
    }

    fn end_line(&mut self, now: Instant, say: &mut impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.begun).replace(|character: char| character.is_control(), " ");
        let text = if self.is_cut { format!("{text} ...") } else { text };
        self.begun.clear();
        self.is_cut = false;
        if text.trim().is_empty() {
            return;
        }
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.n_this_second = 0;
            self.tell_dropped(say);
        }
        self.n_this_second += 1;
        if self.n_this_second <= MAX_LINES_PER_SECOND {
            say(text.trim_end());
        } else {
            self.n_dropped += 1;
        }
    }

    /// Says how many lines were dropped.
    pub(super) fn tell_dropped(&mut self, say: &mut impl FnMut(&str)) {
        if self.n_dropped > 0 {
            say(&format!("... and {} lines more", self.n_dropped));
            self.n_dropped = 0;
        }
    }
}

const MAX_LINE_BYTES: usize = 500;
const MAX_LINES_PER_SECOND: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &mut Lines, bytes: &[u8], now: Instant) -> Vec<String> {
        let mut said = Vec::new();
        lines.push(bytes, now, &mut |line: &str| said.push(line.to_owned()));
        said
    }

    #[test]
    fn lines_are_whole_and_bounded() {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        assert_eq!(said(&mut lines, b"load", now), Vec::<String>::new());
        assert_eq!(said(&mut lines, b"ed\n\n\x1b[31mred\nx", now), ["loaded", " [31mred"]);
        let long = [&[b'a'; 10_000][..], b"\n"].concat();
        let line = said(&mut lines, &long, now).pop().unwrap();
        assert_eq!(line.len(), 504);
        assert!(line.starts_with("xa") && line.ends_with("a ..."));
        assert!(lines.begun.is_empty());
        said(&mut lines, b"the end", now);
        let mut last = Vec::new();
        lines.finish(now, &mut |line: &str| last.push(line.to_owned()));
        assert_eq!(last, ["the end"]);
    }

    #[test]
    fn who_prints_without_end_is_counted() {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        assert_eq!(said(&mut lines, &b"again\n".repeat(1_000), now).len(), MAX_LINES_PER_SECOND);
        let later = now + Duration::from_secs(1);
        assert_eq!(said(&mut lines, b"now\n", later), ["... and 950 lines more", "now"]);
    }
}
