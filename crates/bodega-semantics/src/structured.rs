//! Dictionaries of structured fields. RFC 9651 sections 3.2 and 4.2.2.
//!
//! Strict, as that section demands: one byte out of place and there is no dictionary at all. Only what cache
//! directives use keeps its value; the rest is checked and is `Item::Other`. Parameters are checked and ignored.

/// The value of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// `?0`, `?1`, or a key alone, which is true.
    Boolean(bool),
    /// A string without its quotes and escapes.
    Text(Vec<u8>),
    /// A token.
    Token(&'a [u8]),
    /// A decimal, byte sequence, date, display string or inner list.
    Other,
}

/// The members in order of their first key; of equal keys the last value counts (RFC 9651 section 3.2).
/// `None` if any part does not parse. An empty dictionary parses.
pub(crate) fn dictionary(text: &[u8]) -> Option<Vec<(&[u8], Item<'_>)>> {
    let mut members: Vec<(&[u8], Item<'_>)> = Vec::new();
    let mut parser = Parser { rest: text };
    parser.skip(|byte| byte == b' ');
    while !parser.rest.is_empty() {
        let key = parser.key()?;
        let value = if parser.take(b'=') {
            parser.item_or_inner_list()?
        } else {
            parser.parameters()?;
            Item::Boolean(true)
        };
        match members.iter_mut().find(|(held, _)| *held == key) {
            Some(member) => member.1 = value,
            None => members.push((key, value)),
        }
        parser.skip(|byte| matches!(byte, b' ' | b'\t'));
        if parser.rest.is_empty() {
            break;
        }
        if !parser.take(b',') {
            return None;
        }
        parser.skip(|byte| matches!(byte, b' ' | b'\t'));
        // RFC 9651 section 4.2.2, step 2.10: a comma at the end is an error.
        if parser.rest.is_empty() {
            return None;
        }
    }
    Some(members)
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, belongs: impl Fn(u8) -> bool) {
        self.run(belongs);
    }

    /// The longest run of bytes that belong.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let n_bytes = self.rest.iter().position(|&byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(n_bytes);
        self.rest = rest;
        run
    }

    /// Section 4.2.3.3.
    fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.rest.first()?;
        (first.is_ascii_lowercase() || *first == b'*').then(|| {
            self.run(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
            })
        })
    }

    fn item_or_inner_list(&mut self) -> Option<Item<'a>> {
        if self.take(b'(') {
            self.inner_list()?;
            Some(Item::Other)
        } else {
            self.item()
        }
    }

    /// Section 4.2.1.2, behind the parenthesis.
    fn inner_list(&mut self) -> Option<()> {
        loop {
            self.skip(|byte| byte == b' ');
            if self.take(b')') {
                return self.parameters();
            }
            self.item()?;
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item<'a>> {
        let item = self.bare_item()?;
        self.parameters()?;
        Some(item)
    }

    /// Section 4.2.3.2.
    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(|byte| byte == b' ');
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    /// Section 4.2.3.1.
    fn bare_item(&mut self) -> Option<Item<'a>> {
        match *self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                Some(Item::Token(self.run(|byte| crate::fields::is_token_byte(byte) || matches!(byte, b':' | b'/'))))
            }
            b':' => self.byte_sequence(),
            b'?' => {
                self.next()?;
                match self.next()? {
                    b'0' => Some(Item::Boolean(false)),
                    b'1' => Some(Item::Boolean(true)),
                    _ => None,
                }
            }
            b'@' => {
                self.next()?;
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => self.display_string(),
            _ => None,
        }
    }

    /// Section 4.2.4: 15 digits, or 12 before the point and 1 to 3 behind it.
    fn number(&mut self) -> Option<Item<'a>> {
        let negative = self.take(b'-');
        let digits = self.run(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.run(|byte| byte.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        let value = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Item::Integer(if negative { -value } else { value }))
    }

    /// Section 4.2.5.
    fn string(&mut self) -> Option<Item<'a>> {
        self.next()?;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(Item::Text(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(byte),
                    _ => return None,
                },
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }

    /// Section 4.2.7. What the bytes are does not matter here, so the coding is not undone.
    fn byte_sequence(&mut self) -> Option<Item<'a>> {
        self.next()?;
        self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.take(b':').then_some(Item::Other)
    }

    /// Section 4.2.10.
    fn display_string(&mut self) -> Option<Item<'a>> {
        self.next()?;
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return std::str::from_utf8(&text).is_ok().then_some(Item::Other),
                b'%' => text.push(lower_hex(self.next()?)? * 16 + lower_hex(self.next()?)?),
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }
}

const fn lower_hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_section_4_2_2_accepts() {
        let cases: [(&str, Vec<(&str, Item<'_>)>); 12] = [
            ("", vec![]),
            ("a", vec![("a", Item::Boolean(true))]),
            ("a=1,b=?0", vec![("a", Item::Integer(1)), ("b", Item::Boolean(false))]),
            ("  a=-15 \t,\t b  ", vec![("a", Item::Integer(-15)), ("b", Item::Boolean(true))]),
            ("a=1, b, a=2", vec![("a", Item::Integer(2)), ("b", Item::Boolean(true))]),
            ("a=1;x;y=\"z;,\", b=t/k:1", vec![("a", Item::Integer(1)), ("b", Item::Token(b"t/k:1"))]),
            ("a=\"x \\\"y\\\\\"", vec![("a", Item::Text(b"x \"y\\".to_vec()))]),
            ("a=(1 \"b\";q=1 c);d", vec![("a", Item::Other)]),
            ("a=()", vec![("a", Item::Other)]),
            ("a=1.500, b=:aGk=:, c=@1659578233", vec![("a", Item::Other), ("b", Item::Other), ("c", Item::Other)]),
            ("a=%\"f%c3%bc\"", vec![("a", Item::Other)]),
            ("*a-1_b.*=999999999999999", vec![("*a-1_b.*", Item::Integer(999_999_999_999_999))]),
        ];
        for (text, expected) in cases {
            let expected = expected.into_iter().map(|(key, item)| (key.as_bytes(), item)).collect();
            assert_eq!(dictionary(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_section_4_2_2_refuses() {
        for text in [
            "a,",
            ",a",
            "a,,b",
            "a b",
            "A",
            "=1",
            "a=",
            "a =1",
            "a= 1",
            "1=a",
            "a;",
            "a;;b",
            "a;B",
            "a=1;=2",
            "a=!",
            "a=1000000000000000",
            "a=-",
            "a=--1",
            "a=1.",
            "a=1.2345",
            "a=1234567890123.1",
            "a=.5",
            "a=@1.5",
            "a=?2",
            "a=?",
            "a=\"",
            "a=\"\\x\"",
            "a=\"\u{e9}\"",
            "a=\"\t\"",
            "a=:aGk=",
            "a=:a-b:",
            "a=(1",
            "a=(1 2",
            "a=(1,2)",
            "a=(1\t2)",
            "a=%x",
            "a=%\"%C3%BC\"",
            "a=%\"%c3\"",
            "a=%\"%",
            "\ta",
            "a\0",
        ] {
            assert_eq!(dictionary(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = dictionary(&text);
        }

        #[test]
        fn directives_read_back_as_written(ages in proptest::collection::btree_map("[a-z*][a-z0-9_.*-]{0,8}", 0_i64..999_999_999_999_999, 0..6)) {
            let text: Vec<String> = ages.iter().map(|(key, age)| format!("{key}={age}")).collect();
            let text = text.join(", ");
            let members = dictionary(text.as_bytes()).unwrap();
            prop_assert_eq!(members.len(), ages.len());
            for ((key, age), (read, item)) in ages.iter().zip(members) {
                prop_assert_eq!(key.as_bytes(), read);
                prop_assert_eq!(item, Item::Integer(*age));
            }
        }
    }
}
