//! Structured fields, RFC 9651, as this crate reads them: whole, strictly, all lines as one.
//!
//! The parser is the crate `sfv`; what is ours is how it is asked. One byte out of place and there is nothing at all.

use std::borrow::Cow;

use sfv::{Dictionary, List, Parser};

use crate::fields::Head;

/// The dictionary in the field `name`. `None` if the field is not there or any part of it does not parse.
pub(crate) fn dictionary<H: Head + ?Sized>(head: &H, name: &str) -> Option<Dictionary> {
    Parser::new(&*text(head, name)?).parse().ok()
}

/// The list in the field `name`. `None` if the field is not there or any part of it does not parse.
pub(crate) fn list<H: Head + ?Sized>(head: &H, name: &str) -> Option<List> {
    Parser::new(&*text(head, name)?).parse().ok()
}

/// RFC 9651 section 4.2: several lines are one, joined by commas.
fn text<'h, H: Head + ?Sized>(head: &'h H, name: &'h str) -> Option<Cow<'h, [u8]>> {
    let mut lines = head.all(name);
    let mut text = Cow::Borrowed(lines.next()?);
    for line in lines {
        let text = text.to_mut();
        text.extend_from_slice(b", ");
        text.extend_from_slice(line);
    }
    Some(text)
}

#[cfg(test)]
mod vectors;
