//! Several ranges in one answer: `multipart/byteranges`. RFC 9110 sections 14.6 and 15.3.7.2.
//!
//! Nobody gets more bytes by asking for parts than by asking for the whole: spans that overlap or touch become one,
//! and `range::decide` sends the whole where the parts with their heads would be no shorter.

/// The most ranges that one request gets; one that asks for more gets the whole.
pub const MAX_RANGES: usize = 16;
/// How long a boundary is.
pub const BOUNDARY_BYTES: usize = 32;

/// Bytes `first..=last` of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl Span {
    /// How many bytes it has.
    #[must_use]
    pub const fn n_bytes(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether `other` lies within it.
    #[must_use]
    pub const fn holds(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether no byte lies between the two.
    #[must_use]
    pub const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Joins the spans that overlap or touch. Each stands where the first of those it was made of was asked for.
#[must_use]
pub fn coalesce(asked: &[Span]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(asked.len());
    for span in asked {
        let mut joined = *span;
        let mut place = None;
        // What grows may come to touch others: round again until nothing does.
        while let Some(at) = spans.iter().position(|other| other.meets(&joined)) {
            joined = joined.with(&spans.remove(at));
            place = Some(place.map_or(at, |place: usize| place.min(at)));
        }
        spans.insert(place.unwrap_or(spans.len()), joined);
    }
    spans
}

/// What the parts of one answer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// `BOUNDARY_BYTES` letters and digits that nobody can have foreseen.
    pub boundary: &'a str,
    /// The type of the whole.
    pub content_type: Option<&'a [u8]>,
    /// The length of the whole.
    pub total: u64,
}

impl Form<'_> {
    /// What goes before the bytes of `span`.
    #[must_use]
    pub fn part_head(&self, span: Span, is_first: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        if !is_first {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"--");
        out.extend_from_slice(self.boundary.as_bytes());
        if let Some(content_type) = self.content_type {
            out.extend_from_slice(b"\r\nContent-Type: ");
            out.extend_from_slice(content_type);
        }
        let Span { first, last } = span;
        out.extend_from_slice(format!("\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n", self.total).as_bytes());
        out
    }

    /// What goes behind the last part.
    #[must_use]
    pub fn end(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn answer_type(&self) -> Vec<u8> {
        format!("multipart/byteranges; boundary={}", self.boundary).into_bytes()
    }
}

/// The length of an answer with these parts.
#[must_use]
pub fn length(spans: &[Span], content_type: Option<&[u8]>, total: u64) -> u64 {
    let boundary = "-".repeat(BOUNDARY_BYTES);
    let form = Form { boundary: &boundary, content_type, total };
    let parts = spans.iter().enumerate().map(|(at, span)| form.part_head(*span, at == 0).len() as u64 + span.n_bytes());
    parts.fold(form.end().len() as u64, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pairs: &[(u64, u64)]) -> Vec<Span> {
        pairs.iter().map(|&(first, last)| Span { first, last }).collect()
    }

    #[test]
    fn spans_that_overlap_or_touch_become_one_in_the_place_of_the_first() {
        for (asked, expected) in [
            (vec![(0, 1), (4, 5)], vec![(0, 1), (4, 5)]),
            (vec![(4, 5), (0, 1)], vec![(4, 5), (0, 1)]),
            (vec![(0, 1), (2, 3)], vec![(0, 3)]),
            (vec![(2, 3), (0, 1)], vec![(0, 3)]),
            (vec![(0, 4), (1, 2)], vec![(0, 4)]),
            (vec![(0, 1), (0, 1), (0, 1)], vec![(0, 1)]),
            (vec![(8, 9), (0, 1), (4, 5), (2, 3)], vec![(8, 9), (0, 5)]),
            (vec![(0, 1), (9, 9), (4, 5), (1, 4)], vec![(0, 5), (9, 9)]),
            (vec![(4, 5), (9, 9), (0, 1), (1, 8)], vec![(0, 9)]),
            (vec![(0, u64::MAX - 1), (5, 6)], vec![(0, u64::MAX - 1)]),
            (vec![], vec![]),
        ] {
            assert_eq!(coalesce(&spans(&asked)), spans(&expected), "{asked:?}");
        }
    }

    #[test]
    fn parts_as_section_15_3_7_2_draws_them() {
        let boundary = "THIS_STRING_SEPARATES_THE_PARTS!";
        assert_eq!(boundary.len(), BOUNDARY_BYTES);
        let form = Form { boundary, content_type: Some(b"application/pdf"), total: 8000 };
        let two = spans(&[(500, 999), (7000, 7999)]);
        let first = form.part_head(two[0], true);
        let second = form.part_head(two[1], false);
        assert_eq!(
            String::from_utf8_lossy(&first),
            format!("--{boundary}\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n")
        );
        assert_eq!(
            String::from_utf8_lossy(&second),
            format!("\r\n--{boundary}\r\nContent-Type: application/pdf\r\nContent-Range: bytes 7000-7999/8000\r\n\r\n")
        );
        assert_eq!(form.end(), format!("\r\n--{boundary}--\r\n").into_bytes());
        assert_eq!(form.answer_type(), format!("multipart/byteranges; boundary={boundary}").into_bytes());
        let whole = first.len() + 500 + second.len() + 1000 + form.end().len();
        assert_eq!(length(&two, form.content_type, 8000), whole as u64);
        let untyped = Form { content_type: None, ..form };
        assert_eq!(
            String::from_utf8_lossy(&untyped.part_head(two[0], true)),
            format!("--{boundary}\r\nContent-Range: bytes 500-999/8000\r\n\r\n")
        );
    }
}
