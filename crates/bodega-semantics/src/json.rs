//! Bodies in JSON, brought into the canonical form of RFC 8785 so that equal values are equal bytes.
//!
//! Stricter than a parser has to be: what two readers could take for two values has no canonical form here. Member names
//! that are there twice, numbers whose decimal digits a double does not bring back, lone surrogates, anything behind the
//! value. So two texts have one form only if they say the same, whoever reads them: no two numbers are rounded into one.

use std::borrow::Cow;

/// Why a text has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCanonical {
    /// It is no JSON (RFC 8259), or not in UTF-8.
    NotJson,
    /// An object names a member twice.
    DuplicateName,
    /// A number is larger or has more digits than a double brings back (RFC 7493 section 2.2).
    Number,
    /// It is nested deeper than `MAX_DEPTH`.
    Nesting,
}

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 64;

/// What of a value does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The reference tokens of each pointer (RFC 6901), unescaped; at least one each.
    pointers: Vec<Vec<String>>,
}

impl LeftOut {
    /// From JSON pointers (`/filter/now`) and names of members of the outermost object (`now`).
    ///
    /// # Errors
    /// In words, if one is neither.
    pub fn of(texts: &[String]) -> Result<Self, String> {
        let mut pointers = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(rest) = text.strip_prefix('/') else {
                if text.is_empty() {
                    return Err(
                        "\"\" is the whole body: name a member, or write a pointer such as \"/filter/now\"".into()
                    );
                }
                pointers.push(vec![text.clone()]);
                continue;
            };
            if rest.replace("~0", "").replace("~1", "").contains('~') {
                return Err(format!("{text:?} is no JSON pointer: `~` is written ~0, and `/` within a name ~1"));
            }
            // RFC 6901 section 4: ~1 before ~0, so that ~01 is ~1 and no slash.
            pointers.push(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect());
        }
        Ok(Self { pointers })
    }
}

/// The canonical form of `text`, without what is left out.
///
/// # Errors
/// If it has none.
pub fn canonical(text: &[u8], left_out: &LeftOut) -> Result<Vec<u8>, NotCanonical> {
    let text = std::str::from_utf8(text).map_err(|_| NotCanonical::NotJson)?;
    let pointers: Vec<&[String]> = left_out.pointers.iter().map(Vec::as_slice).collect();
    let mut reader = Reader { text, at: 0, out: Vec::with_capacity(text.len()), n_left_out: 0 };
    reader.spaces();
    reader.value(&pointers, 0)?;
    reader.spaces();
    if reader.at == text.len() { Ok(reader.out) } else { Err(NotCanonical::NotJson) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    out: Vec<u8>,
    /// Within how many values that are left out the reader is.
    n_left_out: usize,
}

/// A member as it stands in what is written.
struct Member<'t> {
    name: Cow<'t, str>,
    from: usize,
    to: usize,
}

type Read = Result<(), NotCanonical>;

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, byte: u8) -> Read {
        if self.take(byte) { Ok(()) } else { Err(NotCanonical::NotJson) }
    }

    /// Reads a value and writes it; `pointers` lead to what in it is left out.
    fn value(&mut self, pointers: &[&[String]], depth: usize) -> Read {
        match self.peek() {
            Some(b'{') => self.object(pointers, deeper(depth)?),
            Some(b'[') => self.array(pointers, deeper(depth)?),
            Some(b'"') => {
                let text = self.string()?;
                write_string(&mut self.out, &text);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(NotCanonical::NotJson),
        }
    }

    fn word(&mut self, word: &str) -> Read {
        if !self.text[self.at..].starts_with(word) {
            return Err(NotCanonical::NotJson);
        }
        self.at += word.len();
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn array(&mut self, pointers: &[&[String]], depth: usize) -> Read {
        self.expect(b'[')?;
        self.out.push(b'[');
        self.spaces();
        if self.take(b']') {
            self.out.push(b']');
            return Ok(());
        }
        for index in 0_usize.. {
            if index > 0 {
                self.out.push(b',');
            }
            self.spaces();
            let inner = if pointers.is_empty() { Inner::default() } else { Inner::of(pointers, &index.to_string()) };
            if inner.is_left_out {
                // The others keep their places.
                self.left_out(depth)?;
                self.out.extend_from_slice(b"null");
            } else {
                self.value(&inner.pointers, depth)?;
            }
            self.spaces();
            if self.take(b']') {
                break;
            }
            self.expect(b',')?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, pointers: &[&[String]], depth: usize) -> Read {
        self.expect(b'{')?;
        self.out.push(b'{');
        let first = self.out.len();
        let mut members: Vec<Member<'t>> = Vec::new();
        // Names of what is left out are written nowhere, and may be there once all the same.
        let mut names_left_out: Vec<Cow<'t, str>> = Vec::new();
        self.spaces();
        if self.take(b'}') {
            self.out.push(b'}');
            return Ok(());
        }
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return Err(NotCanonical::NotJson);
            }
            let name = self.string()?;
            self.spaces();
            self.expect(b':')?;
            self.spaces();
            let inner = if pointers.is_empty() { Inner::default() } else { Inner::of(pointers, &name) };
            if inner.is_left_out {
                self.left_out(depth)?;
                names_left_out.push(name);
            } else {
                if !members.is_empty() {
                    self.out.push(b',');
                }
                let from = self.out.len();
                write_string(&mut self.out, &name);
                self.out.push(b':');
                self.value(&inner.pointers, depth)?;
                members.push(Member { name, from, to: self.out.len() });
            }
            self.spaces();
            if self.take(b'}') {
                break;
            }
            self.expect(b',')?;
        }
        names_left_out.sort_unstable();
        if names_left_out.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(NotCanonical::DuplicateName);
        }
        self.sort(first, members)?;
        self.out.push(b'}');
        Ok(())
    }

    /// Brings the members that are written from `first` on into the order of RFC 8785 section 3.2.3: by UTF-16 units.
    fn sort(&mut self, first: usize, mut members: Vec<Member<'t>>) -> Read {
        let order = |one: &Member<'_>, other: &Member<'_>| one.name.encode_utf16().cmp(other.name.encode_utf16());
        if members.is_sorted_by(|one, other| order(one, other).is_lt()) {
            return Ok(());
        }
        members.sort_by(order);
        if members.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(NotCanonical::DuplicateName);
        }
        let mut sorted = Vec::with_capacity(self.out.len() - first);
        for member in &members {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&self.out[member.from..member.to]);
        }
        self.out.truncate(first);
        self.out.extend_from_slice(&sorted);
        Ok(())
    }

    /// Reads a value that does not count.
    fn left_out(&mut self, depth: usize) -> Read {
        let length = self.out.len();
        self.n_left_out += 1;
        self.value(&[], depth)?;
        self.n_left_out -= 1;
        self.out.truncate(length);
        Ok(())
    }

    fn string(&mut self) -> Result<Cow<'t, str>, NotCanonical> {
        self.expect(b'"')?;
        let mut unescaped: Option<String> = None;
        loop {
            let from = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            // Both ends stand before or behind a character of ASCII.
            let run = &self.text[from..self.at];
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(run),
                        Some(text) => Cow::Owned(text + run),
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(run);
                    let character = self.escape()?;
                    unescaped.get_or_insert_default().push(character);
                }
                // Control characters have to be escaped (RFC 8259 section 7).
                _ => return Err(NotCanonical::NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<char, NotCanonical> {
        let byte = self.peek().ok_or(NotCanonical::NotJson)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let code = match unit {
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        self.at += 2;
                        let low = self.unit()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(NotCanonical::NotJson);
                        }
                        0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    unit => unit,
                };
                // A surrogate that is alone is no character (RFC 8785 section 3.2.2.2).
                char::from_u32(code).ok_or(NotCanonical::NotJson)?
            }
            _ => return Err(NotCanonical::NotJson),
        })
    }

    fn unit(&mut self) -> Result<u32, NotCanonical> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(NotCanonical::NotJson)?;
        let mut unit = 0;
        for digit in digits {
            unit = unit << 4 | char::from(*digit).to_digit(16).ok_or(NotCanonical::NotJson)?;
        }
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Read {
        let from = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(NotCanonical::NotJson);
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            // No zero stands before another digit.
            return Err(NotCanonical::NotJson);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(NotCanonical::NotJson);
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(NotCanonical::NotJson);
            }
        }
        let written = &self.text[from..self.at];
        if self.n_left_out > 0 {
            return Ok(());
        }
        let value: f64 = written.parse().map_err(|_| NotCanonical::NotJson)?;
        if !value.is_finite() {
            return Err(NotCanonical::Number);
        }
        if value == 0.0 {
            // RFC 8785 section 3.2.2.3: there is one zero. What is too small for a double is none.
            let is_zero = Decimal::of(written).digits.is_empty();
            self.out.push(b'0');
            return if is_zero { Ok(()) } else { Err(NotCanonical::Number) };
        }
        let mut buffer = ryu_js::Buffer::new();
        let shortest = buffer.format_finite(value);
        if shortest != written && Decimal::of(shortest) != Decimal::of(written) {
            return Err(NotCanonical::Number);
        }
        self.out.extend_from_slice(shortest.as_bytes());
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }
}

fn deeper(depth: usize) -> Result<usize, NotCanonical> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(NotCanonical::Nesting) }
}

/// What a member or an element is to the pointers that lead into what holds it.
#[derive(Default)]
struct Inner<'p> {
    is_left_out: bool,
    pointers: Vec<&'p [String]>,
}

impl<'p> Inner<'p> {
    fn of(pointers: &[&'p [String]], name: &str) -> Self {
        let mut inner = Self::default();
        for pointer in pointers {
            if let Some((first, rest)) = pointer.split_first()
                && first == name
            {
                inner.is_left_out |= rest.is_empty();
                inner.pointers.push(rest);
            }
        }
        inner
    }
}

/// The value of a number as it is written, without its sign: 0.DIGITS times ten to the power of `exponent`.
#[derive(PartialEq, Eq)]
struct Decimal {
    /// Neither the first nor the last is a zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(written: &str) -> Self {
        let unsigned = written.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let n_zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..n_zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let is_small = exponent.starts_with('-');
        // What does not fit is far beyond any double, and never compared.
        let exponent: i64 = exponent.parse().unwrap_or(if is_small { i64::MIN / 2 } else { i64::MAX / 2 });
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX) - i64::try_from(n_zeros).unwrap_or(i64::MAX);
        Self { exponent: if digits.is_empty() { 0 } else { exponent.saturating_add(point) }, digits }
    }
}

/// RFC 8785 section 3.2.2.2.
fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..at]);
        from = at + 1;
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
