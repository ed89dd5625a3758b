//! How urgent an answer is: RFC 9218.

use sfv::{BareItem, ListEntry};

use crate::fields::Head;
use crate::structured;

/// A priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 (the most urgent) to 7.
    pub urgency: u8,
    /// Whether a part of the answer is of use by itself, so that equals share what there is.
    pub incremental: bool,
}

impl Default for Priority {
    /// Section 4: urgency 3, not incremental.
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

/// The priority that the client names, as far as the origin does not know better (section 8).
pub fn of<A: Head + ?Sized, B: Head + ?Sized>(request: &A, answer: &B) -> Priority {
    let asked = read(request, Priority::default());
    read(answer, asked)
}

/// Section 4: what does not parse, is of another type or out of range is as if it were not there.
fn read<H: Head + ?Sized>(head: &H, otherwise: Priority) -> Priority {
    let Some(said) = structured::dictionary(head, FIELD) else { return otherwise };
    let item = |name: &str| match said.get(name) {
        Some(ListEntry::Item(item)) => Some(&item.bare_item),
        _ => None,
    };
    let urgency = match item("u") {
        Some(BareItem::Integer(urgency)) => u8::try_from(i64::from(*urgency)).ok().filter(|urgency| *urgency <= 7),
        _ => None,
    };
    let incremental = match item("i") {
        Some(BareItem::Boolean(incremental)) => Some(*incremental),
        _ => None,
    };
    Priority {
        urgency: urgency.unwrap_or(otherwise.urgency),
        incremental: incremental.unwrap_or(otherwise.incremental),
    }
}

const FIELD: &str = "priority";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn head(value: Option<&str>) -> Fields {
        let mut head = Fields::new();
        if let Some(value) = value {
            head.push("Priority", value.as_bytes());
        }
        head
    }

    #[test]
    fn the_origin_overrides_what_the_client_says_and_nonsense_says_nothing() {
        for (request, answer, urgency, incremental) in [
            (None, None, 3, false),
            (Some("u=1"), None, 1, false),
            (Some("u=5, i"), None, 5, true),
            (Some("i=?0"), None, 3, false),
            (Some("u=8"), None, 3, false),
            (Some("u=-1, i"), None, 3, true),
            (Some("u=\"1\""), None, 3, false),
            (Some("u=1, i=3"), None, 1, false),
            (Some("u=,"), None, 3, false),
            (Some("u=5, i"), Some("u=0"), 0, true),
            (Some("u=5"), Some("i"), 5, true),
            (Some("u=5, i"), Some("i=?0"), 5, false),
        ] {
            let priority = of(&head(request), &head(answer));
            assert_eq!(priority, Priority { urgency, incremental }, "{request:?} {answer:?}");
        }
    }
}
