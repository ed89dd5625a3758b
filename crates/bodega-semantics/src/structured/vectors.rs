//! The public test vectors of structured fields, asked in the way in which this crate asks: by fields of a head.
//! They are the HTTP working group's, under the licence that lies beside them.

use proptest::prelude::*;
use serde_json::{Value, json};
use sfv::{BareItem, InnerList, Item, ListEntry, Parameters, Parser};

use super::{dictionary, list, text};
use crate::fields::Fields;

macro_rules! vectors {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../tests/structured-field-tests/", $name, ".json")))),+]
    };
}

const FILES: [(&str, &str); 19] = vectors![
    "binary",
    "boolean",
    "date",
    "dictionary",
    "display-string",
    "examples",
    "item",
    "key-generated",
    "list",
    "listlist",
    "number",
    "number-generated",
    "param-dict",
    "param-list",
    "param-listlist",
    "string",
    "string-generated",
    "token",
    "token-generated",
];

#[test]
fn every_vector_is_read_or_refused_as_it_says() {
    let mut n_cases = 0;
    for (file, text) in FILES {
        let cases: Vec<Value> = serde_json::from_str(text).unwrap();
        assert!(!cases.is_empty(), "{file}");
        for case in cases {
            let read = match case["header_type"].as_str().unwrap() {
                "dictionary" => dictionary(&head(&case), "x").map(|members| {
                    members.iter().map(|(key, member)| json!([key.as_str(), member_value(member)])).collect()
                }),
                "list" => list(&head(&case), "x").map(|members| members.iter().map(member_value).collect()),
                "item" => item(&head(&case)),
                other => panic!("{other}"),
            };
            check(file, &case, read);
            n_cases += 1;
        }
    }
    assert!(n_cases > 1500, "{n_cases}");
}

/// A field that is one item. Nothing outside this test reads one, so it is asked here as the others are above.
fn item(fields: &Fields) -> Option<Value> {
    Parser::new(&*text(fields, "x")?).parse::<Item>().ok().as_ref().map(item_value)
}

fn check(file: &str, case: &Value, read: Option<Value>) {
    let name = &case["name"];
    let may_fail = case["can_fail"] == true;
    if case["must_fail"] == true {
        assert_eq!(read, None, "{file}: {name}");
    } else if read.is_some() || !may_fail {
        let read = read.unwrap_or_else(|| panic!("{file}: {name} is refused"));
        assert!(is_alike(&read, &case["expected"]), "{file}: {name}: {read}");
    }
}

fn head(case: &Value) -> Fields {
    let mut fields = Fields::new();
    for line in case["raw"].as_array().unwrap() {
        fields.push("X", line.as_str().unwrap().as_bytes());
    }
    fields
}

fn member_value(member: &ListEntry) -> Value {
    match member {
        ListEntry::Item(item) => item_value(item),
        ListEntry::InnerList(InnerList { items, params }) => {
            json!([items.iter().map(item_value).collect::<Vec<_>>(), parameters_value(params)])
        }
    }
}

fn item_value(item: &Item) -> Value {
    json!([bare_value(&item.bare_item), parameters_value(&item.params)])
}

fn parameters_value(parameters: &Parameters) -> Value {
    parameters.iter().map(|(key, value)| json!([key.as_str(), bare_value(value)])).collect()
}

fn bare_value(item: &BareItem) -> Value {
    match item {
        BareItem::Decimal(decimal) => json!(f64::from(*decimal)),
        BareItem::Integer(integer) => json!(i64::from(*integer)),
        BareItem::String(text) => json!(text.as_str()),
        BareItem::ByteSequence(bytes) => json!({"__type": "binary", "value": base32(bytes)}),
        BareItem::Boolean(value) => json!(value),
        BareItem::Token(token) => json!({"__type": "token", "value": token.as_str()}),
        BareItem::Date(date) => json!({"__type": "date", "value": i64::from(date.unix_seconds())}),
        BareItem::DisplayString(text) => json!({"__type": "displaystring", "value": text}),
    }
}

/// As JSON, in which 1.0 and 1 are one number.
fn is_alike(read: &Value, expected: &Value) -> bool {
    match (read, expected) {
        (Value::Array(read), Value::Array(expected)) => {
            read.len() == expected.len() && read.iter().zip(expected).all(|(read, expected)| is_alike(read, expected))
        }
        (Value::Number(read), Value::Number(expected)) => read.as_f64() == expected.as_f64(),
        _ => read == expected,
    }
}

/// RFC 4648 section 6, with which the vectors write bytes.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut whole = [0_u8; 8];
        whole[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(whole);
        let n_characters = (group.len() * 8).div_ceil(5);
        for at in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap();
            text.push(if at < n_characters { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut fields = Fields::new();
        fields.push("X", &text);
        let _ = dictionary(&fields, "x");
        let _ = list(&fields, "x");
    }

    #[test]
    fn directives_read_back_as_written(
        ages in proptest::collection::btree_map("[a-z*][a-z0-9_.*-]{0,8}", 0_i64..999_999_999_999_999, 0..6),
    ) {
        let text: Vec<String> = ages.iter().map(|(key, age)| format!("{key}={age}")).collect();
        let mut fields = Fields::new();
        fields.push("X", text.join(", ").as_bytes());
        let read: Vec<(String, i64)> = dictionary(&fields, "x")
            .unwrap()
            .iter()
            .map(|(key, member)| match member {
                ListEntry::Item(Item { bare_item: BareItem::Integer(age), .. }) => (key.to_string(), i64::from(*age)),
                _ => panic!("{member:?}"),
            })
            .collect();
        prop_assert_eq!(read, ages.into_iter().collect::<Vec<_>>());
    }
}
