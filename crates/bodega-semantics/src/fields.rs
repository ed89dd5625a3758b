//! Header fields, borrowed and owned, behind one trait, so that each decision is written once for
//! heads parsed from a socket, kept in the store, or made by the edge.
//! Names keep their case and compare without it; order and repetition are kept (RFC 9110 section 5).

/// One field line: a name (token, any case) and its value with outer whitespace removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field name as received.
    pub name: &'a str,
    /// The field value; may hold obs-text, never CR, LF or NUL.
    pub value: &'a [u8],
}

/// Anything that holds field lines.
pub trait Head {
    /// All field lines in order.
    fn fields(&self) -> impl Iterator<Item = Field<'_>>;

    /// The value of the first line named `name`.
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The values of all lines named `name`, in order.
    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.fields().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of the one line named `name`; `None` if there are several, for fields that are no lists.
    fn only(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.fields().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
        let value = lines.next()?;
        lines.next().is_none().then_some(value)
    }

    /// Whether a line named `name` is there.
    fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }
}

impl Head for [Field<'_>] {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.iter().copied()
    }
}

/// An owned list of field lines in one buffer, kept as they go onto an HTTP/1 wire:
/// `Name: value\r\n` a line. A prebuilt head is a copy of `as_block()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    block: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    start: u32,
    name_len: u16,
    value_len: u32,
}

impl Fields {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for `n_bytes` of wire form.
    #[must_use]
    pub fn with_capacity(n_bytes: usize) -> Self {
        Self { block: Vec::with_capacity(n_bytes), lines: Vec::with_capacity(16) }
    }

    /// These lines, each as `push` takes it.
    #[must_use]
    pub fn of(lines: &[(&str, &str)]) -> Self {
        let mut fields = Self::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    /// Copies every line of `head`.
    #[must_use]
    pub fn copy_of<H: Head + ?Sized>(head: &H) -> Self {
        let mut copy = Self::with_capacity(512);
        for field in head.fields() {
            copy.push(field.name, field.value);
        }
        copy
    }

    /// Reads back what `as_block` gave. Lines that are not of that form are dropped.
    #[must_use]
    pub fn from_block(block: &[u8]) -> Self {
        let mut fields = Self::with_capacity(block.len());
        for field in Block(block).fields() {
            fields.push(field.name, field.value);
        }
        fields
    }

    /// Appends a line. A value with CR, LF or NUL, or a name that is no token or longer than 64 KiB, is dropped:
    /// such a line could never be told from two.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.push_by(name, |block| block.extend_from_slice(value));
    }

    /// The same of a value that `write` appends to what it is given.
    pub fn push_by(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.block.len();
        let (Ok(start), Ok(name_len)) = (u32::try_from(before), u16::try_from(name.len())) else { return };
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return;
        }
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(b": ");
        let begin = self.block.len();
        write(&mut self.block);
        let value = self.block.get(begin..).unwrap_or_default();
        match u32::try_from(value.len()) {
            // To the end, whatever is found: so it is done for many bytes at once.
            Ok(value_len) if !value.iter().fold(false, |ends, &byte| ends | matches!(byte, b'\r' | b'\n' | 0)) => {
                self.block.extend_from_slice(b"\r\n");
                self.lines.push(Line { start, name_len, value_len });
            }
            _ => self.block.truncate(before),
        }
    }

    /// Removes every line named `name` and appends one.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes every line named `name`.
    pub fn remove(&mut self, name: &str) {
        if self.has(name) {
            self.retain(|field| !field.name.eq_ignore_ascii_case(name));
        }
    }

    /// Keeps the lines for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let mut kept = Self::with_capacity(self.block.len());
        for field in self.fields() {
            if keep(field) {
                kept.push(field.name, field.value);
            }
        }
        *self = kept;
    }

    /// The wire form: `Name: value\r\n` for each line, without the empty line that ends a head.
    #[must_use]
    pub fn as_block(&self) -> &[u8] {
        &self.block
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl Head for Fields {
    fn first(&self, name: &str) -> Option<&[u8]> {
        let is_named = |line: &&Line| {
            let start = line.start as usize;
            self.block[start..start + line.name_len as usize].eq_ignore_ascii_case(name.as_bytes())
        };
        self.lines.iter().find(is_named).map(|line| {
            let value_start = line.start as usize + line.name_len as usize + 2;
            &self.block[value_start..value_start + line.value_len as usize]
        })
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines.iter().map(|line| {
            let start = line.start as usize;
            let name_end = start + line.name_len as usize;
            let value_start = name_end + 2;
            Field {
                name: std::str::from_utf8(&self.block[start..name_end]).unwrap_or_default(),
                value: &self.block[value_start..value_start + line.value_len as usize],
            }
        })
    }
}

/// A borrowed wire block, as `Fields::as_block` gives it and the store keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a>(pub &'a [u8]);

impl<'a> Block<'a> {
    /// The lines, borrowed from what the block borrows.
    pub fn into_fields(self) -> impl Iterator<Item = Field<'a>> {
        self.0.split_inclusive(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r\n")?;
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
            Some(Field { name, value })
        })
    }
}

impl Head for Block<'_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.into_fields()
    }
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

/// Looked up, since each line that is made is checked by it.
static TOKEN_BYTES: [bool; 256] = {
    let mut may_stand = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let each = byte as u8;
        may_stand[byte] = each.is_ascii_alphanumeric()
            || matches!(
                each,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    may_stand
};

/// The members of a comma-separated list field (RFC 9110 section 5.6.1), trimmed, empty ones left out.
/// Commas inside quoted strings do not separate; a quote that is never closed quotes nothing, so that it cannot hide
/// the members behind it.
pub fn list_members<'a>(values: impl Iterator<Item = &'a [u8]> + 'a) -> impl Iterator<Item = &'a [u8]> + 'a {
    values.flat_map(|value| ListMembers { rest: Some(value), quotes: true })
}

struct ListMembers<'a> {
    rest: Option<&'a [u8]>,
    /// Whether quotes still count. Without this memory, a value of many quotes would be searched anew from each.
    quotes: bool,
}

impl ListMembers<'_> {
    fn comma(&mut self, rest: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            match byte {
                b',' => return Some(at),
                b'"' if self.quotes => match closing_quote(&rest[at + 1..]) {
                    Some(n_bytes) => at += n_bytes + 1,
                    None => self.quotes = false,
                },
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Where the quoted string ends that begins before `rest` (RFC 9110 section 5.6.4).
fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

impl<'a> Iterator for ListMembers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(rest) = self.rest {
            let member = match self.comma(rest) {
                Some(at) => {
                    self.rest = Some(&rest[at + 1..]);
                    &rest[..at]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_as_the_same_fields() {
        let mut fields = Fields::new();
        fields.push("Content-Type", b"text/html");
        fields.push("X-Empty", b"");
        fields.push("set-cookie", b"a=1; b:2");
        assert_eq!(Fields::from_block(fields.as_block()), fields);
        assert_eq!(Block(fields.as_block()).first("SET-COOKIE"), Some(&b"a=1; b:2"[..]));
    }

    #[test]
    fn a_value_that_could_split_the_head_is_dropped() {
        let mut fields = Fields::new();
        fields.push("X", b"a\r\nSet-Cookie: b");
        fields.push("bad name", b"1");
        assert!(fields.is_empty());
    }

    #[test]
    fn list_members_ignore_commas_inside_quotes() {
        let values: [&[u8]; 2] = [b"a, \"b,c\" ,,", b" d"];
        let members: Vec<&[u8]> = list_members(values.into_iter()).collect();
        assert_eq!(members, [&b"a"[..], b"\"b,c\"", b"d"]);
    }
    #[test]
    fn a_quote_that_is_never_closed_hides_nothing() {
        for (value, expected) in [
            (&b"a=\"b, c"[..], vec![&b"a=\"b"[..], b"c"]),
            (b"\"a,\", \"b, c", vec![b"\"a,\"", b"\"b", b"c"]),
            (b"\"a\\\", b", vec![b"\"a\\\"", b"b"]),
            (b"\"a\\\\\", b", vec![b"\"a\\\\\"", b"b"]),
            (b"\"a\\\", b\", c", vec![b"\"a\\\", b\"", b"c"]),
            (b"\"", vec![b"\""]),
        ] {
            let members: Vec<&[u8]> = list_members(std::iter::once(value)).collect();
            assert_eq!(members, expected, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn a_value_of_many_quotes_takes_no_longer_than_others() {
        // Searched anew from each quote, this would take a million million steps.
        let value = b"\\\"".repeat(1_000_000);
        assert_eq!(list_members(std::iter::once(&value[..])).count(), 1);
    }

    #[test]
    fn names_compare_without_case_and_keep_theirs() {
        let mut fields = Fields::new();
        fields.push("X-A", b"1");
        fields.push("x-a", b"2");
        fields.push("B", b"3");
        assert_eq!(fields.all("X-a").collect::<Vec<_>>(), [b"1", b"2"]);
        fields.set("x-A", b"4");
        assert_eq!(fields.as_block(), b"B: 3\r\nx-A: 4\r\n");
        fields.remove("b");
        assert_eq!(fields.len(), 1);
        assert!(!fields.has("b"));
    }
}
