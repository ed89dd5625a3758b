//! Cache groups: RFC 9875. An answer names the groups it is of, another names groups that are to be forgotten.
//!
//! Groups are an origin's own: a mark holds the host, so that none reaches another's.

use sfv::{BareItem, ListEntry};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::fields::Head;
use crate::key::{KeySecret, write};
use crate::structured;

/// The groups an answer is of.
pub const GROUPS: &str = "cache-groups";
/// The groups an answer to an unsafe request wants forgotten.
pub const INVALIDATION: &str = "cache-group-invalidation";

/// The identities of the groups in the field `name`: a list of strings (sections 2 and 3). Nothing, if it does not
/// parse; members of other types are passed over, and parameters ignored. All count: the size of a head bounds them.
pub fn marks<H: Head + ?Sized>(secret: &KeySecret, host: &str, head: &H, name: &str) -> Vec<u64> {
    let members = structured::list(head, name).unwrap_or_default();
    let group = |member: &ListEntry| match member {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::String(group) => Some(mark(secret, host, group.as_str())),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    members.iter().filter_map(group).collect()
}

/// Section 2.1: groups are compared character by character.
fn mark(secret: &KeySecret, host: &str, group: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, host.as_bytes());
    write(&mut hasher, b"group");
    write(&mut hasher, group.as_bytes());
    hasher.finish128().h1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    const SECRET: KeySecret = KeySecret([1; 16]);

    fn of(host: &str, lines: &[&str]) -> Vec<u64> {
        let mut head = Fields::new();
        for line in lines {
            head.push("Cache-Groups", line.as_bytes());
        }
        marks(&SECRET, host, &head, GROUPS)
    }

    #[test]
    fn groups_are_strings_of_one_host() {
        let [scripts, styles] = of("h", &["\"scripts\", \"styles\""])[..] else { panic!() };
        assert_ne!(scripts, styles);
        assert_eq!(of("h", &["\"styles\";x=1", "\"scripts\""]), [styles, scripts]);
        assert_ne!(of("i", &["\"scripts\""]), [scripts]);
        assert_ne!(of("h", &["\"Scripts\""]), [scripts]);
        assert_eq!(of("h", &["scripts, 1, (\"styles\"), \"scripts\""]), [scripts]);
    }

    #[test]
    fn what_does_not_parse_is_no_group() {
        for line in ["", "\"a", "\"a\",", "\"a\" \"b\"", "\"\u{e9}\""] {
            assert!(of("h", &[line]).is_empty(), "{line}");
        }
    }

    #[test]
    fn more_than_32_groups_of_32_characters_count() {
        let groups: Vec<String> = (0..200).map(|number| format!("\"{number:0>64}\"")).collect();
        let mut marks = of("h", &[&groups.join(", ")]);
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), 200);
    }
}
