//! Bodies that are taken, and what is said of those that are not.

use proptest::prelude::*;

use super::*;

fn port(name: &str, element: Element, row: &[Option<usize>]) -> Port {
    Port { name: name.to_owned(), element, row: row.to_vec(), has_axis: true }
}

fn signature(inputs: Vec<Port>) -> Signature {
    Signature { inputs, outputs: Vec::new(), is_batched: true, ..Signature::default() }
}

fn three() -> Signature {
    signature(vec![port("x", Element::Float32, &[Some(3)])])
}

fn two_inputs() -> Signature {
    signature(vec![port("age", Element::Int64, &[Some(1)]), port("name", Element::String, &[Some(2)])])
}

fn one(body: &str, signature: &Signature) -> Result<Vec<u8>, Problem> {
    rows(body.as_bytes(), signature, Form::Row).map(|rows| rows.into_iter().next().unwrap())
}

#[test]
fn a_row_becomes_one_record_however_it_is_written() {
    let expected = one(r#"{"features": [1, 0, 2.5]}"#, &three()).unwrap();
    for body in [
        r#"{"features":[1.0,-0.0,25e-1]}"#,
        "{ \"features\" : [ 1 , 0.0 ,\n 2.50 ] }",
        r#"{"id": {"a": [1, "x"]}, "features": [1, -0, 2.5]}"#,
        r#"{"features": {"x": [1, 0, 2.5]}}"#,
        r#"{"features": [1e0, 0e9, 2.5], "more": null}"#,
    ] {
        assert_eq!(one(body, &three()).unwrap(), expected, "{body}");
    }
    assert_ne!(one(r#"{"features": [1, 0, 2.5000002]}"#, &three()).unwrap(), expected);
    let tensors = record::read(&expected).unwrap();
    assert_eq!(tensors[0].axes.as_slice(), [3]);
    assert_eq!(tensors[0].data, [1.0_f32, 0.0, 2.5].map(f32::to_le_bytes).concat());
}

#[test]
fn inputs_stand_in_the_graphs_order_whatever_the_bodys() {
    let one_way = one(r#"{"features": {"age": 7, "name": ["a", "bc"]}}"#, &two_inputs()).unwrap();
    let other_way = one(r#"{"features": {"name": ["a", "bc"], "age": [7.0]}}"#, &two_inputs()).unwrap();
    assert_eq!(one_way, other_way);
    let tensors = record::read(&one_way).unwrap();
    assert_eq!((tensors[0].element, tensors[0].axes.as_slice()), (Element::Int64, &[1][..]));
    assert_eq!(tensors[1].strings().unwrap(), ["a", "bc"]);
}

#[test]
fn what_is_ignored_stands_behind_what_is_not_or_nowhere() {
    let ignoring = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        two_inputs().ignoring(&names)
    };
    let signature = ignoring(&["age", "trace"]).unwrap();
    assert_eq!(signature.n_keyed(), 1);
    let of = |body: &str| one(body, &signature).unwrap();
    let (young, old) = (
        of(r#"{"features": {"age": 7, "name": ["a", "b"], "trace": {"id": [1]}}}"#),
        of(r#"{"features": {"name": ["a", "b"], "age": 70}}"#),
    );
    let keyed = record::n_bytes_of_first(&young, 1).unwrap();
    assert_eq!(young[..keyed], old[..keyed]);
    assert_ne!(young[keyed..], old[keyed..]);
    assert_eq!(record::read(&old).unwrap()[1].data, 70_i64.to_le_bytes());
    assert!(ignoring(&["name", "age"]).unwrap_err().contains("nothing is left"));
    let problem = one(r#"{"features": {"age": 7, "name": ["a", "b"], "trail": 1}}"#, &signature).unwrap_err();
    assert_eq!(problem.field, "features.trail");
}

#[test]
fn shapes_of_any_depth_and_free_axes() {
    let image = signature(vec![port("image", Element::Uint8, &[Some(2), None])]);
    let record = one(r#"{"features": [[1,2,3],[4,5,6]]}"#, &image).unwrap();
    assert_eq!(record::read(&record).unwrap()[0].axes.as_slice(), [2, 3]);
    let scalar = signature(vec![port("x", Element::Float64, &[])]);
    assert_eq!(one(r#"{"features": 2}"#, &scalar).unwrap(), one(r#"{"features": [2]}"#, &scalar).unwrap());
    let flags = signature(vec![port("on", Element::Bool, &[Some(2)])]);
    assert_eq!(record::read(&one(r#"{"features": [true, false]}"#, &flags).unwrap()).unwrap()[0].data, [1, 0]);
}

#[test]
fn what_is_wrong_is_named_with_what_was_expected_and_what_came() {
    let image = signature(vec![port("image", Element::Uint8, &[Some(2), Some(2)])]);
    for (signature, body, field, parts) in [
        (&three(), "", "", &["empty", "features"][..]),
        (&three(), "nonsense", "", &["JSON"]),
        (&three(), "[1, 2, 3]", "", &["an object with `features`"]),
        (&three(), r#"{"features": [NaN, 1, 2]}"#, "", &["NaN"]),
        (&three(), r#"{"features": [1, 2, 3]} trailing"#, "", &["JSON"]),
        (&three(), r#"{"feature": [1, 2, 3]}"#, "features", &["missing", "float32[3]"]),
        (&two_inputs(), "{}", "features", &["missing", "an object with age: int64[1], name: string[2]"]),
        (&three(), r#"{"features": [1,2,3], "features": [1,2,4]}"#, "features", &["twice"]),
        (&three(), r#"{"features": [1, 2]}"#, "features", &["expected float32[3], got float32[2]"]),
        (&three(), r#"{"features": [[1, 2, 3]]}"#, "features", &["expected float32[3], got float32[1, 3]"]),
        (&three(), r#"{"features": []}"#, "features", &["expected float32[3], got float32[0]"]),
        (&three(), r#"{"features": 1}"#, "features", &["expected float32[3], got float32[]"]),
        (&three(), r#"{"features": null}"#, "features", &["expected float32[3], got null"]),
        (&three(), r#"{"features": [1, "2", 3]}"#, "features[1]", &["float32", "a string"]),
        (&three(), r#"{"features": [1, 2, null]}"#, "features[2]", &["null"]),
        (&three(), r#"{"features": [1, 2, {}]}"#, "features[2]", &["an object"]),
        (&three(), r#"{"features": [true, 2, 3]}"#, "features[0]", &["the boolean true"]),
        (&three(), r#"{"features": [1e39, 2, 3]}"#, "features[0]", &["float32"]),
        (&three(), r#"{"features": [1, [2], 3]}"#, "features", &["not a regular array"]),
        (&three(), r#"{"features": {"y": [1, 2, 3]}}"#, "features.y", &["no such input", "x"]),
        (&image, r#"{"features": [[1, 2], [3]]}"#, "features", &["not a regular array", "uint8[2, 2]"]),
        (&image, r#"{"features": [[1, 2], [3, 256]]}"#, "features[1][1]", &["uint8", "256"]),
        (&image, r#"{"features": [[1, 2], [3, 0.5]]}"#, "features[1][1]", &["0.5"]),
        (&two_inputs(), r#"{"features": [1]}"#, "features", &["`age`, `name`, got sequence"]),
        (&two_inputs(), r#"{"features": {"age": 1}}"#, "features.name", &["missing", "string[2]"]),
        (&two_inputs(), r#"{"features": {"age": 1, "age": 2}}"#, "features.age", &["twice"]),
        (&two_inputs(), r#"{"features": {"age": 1, "name": ["a", 1]}}"#, "features.name[1]", &["the number 1"]),
        (&two_inputs(), "{\"features\": {\"age\": 1, \"name\": [\"a\", \"\\u0000\"]}}", "features.name[1]", &["zero"]),
    ] {
        let problem = one(body, signature).unwrap_err();
        assert_eq!((problem.status, problem.field.as_str()), (400, field), "{body}: {}", problem.message);
        for part in parts {
            assert!(problem.message.contains(part), "{body}: {}", problem.message);
        }
    }
}

#[test]
fn rows_keep_their_order_and_name_the_one_that_is_wrong() {
    let read_rows = |body: &str| rows(body.as_bytes(), &three(), Form::Rows);
    let rows = read_rows(r#"{"features": [[1, 2, 3], [4, 5, 6], [1, 2, 3]]}"#).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], rows[2]);
    assert_eq!(rows[1], one(r#"{"features": [4, 5, 6]}"#, &three()).unwrap());
    assert_eq!(read_rows(r#"{"features": []}"#).unwrap(), Vec::<Vec<u8>>::new());
    let problem = read_rows(r#"{"features": [[1, 2, 3], [4, 5]]}"#).unwrap_err();
    assert_eq!(problem.field, "features[1]");
    let many = format!(r#"{{"features": [{}[1,2,3]]}}"#, "[1,2,3],".repeat(MAX_ROWS));
    assert_eq!(read_rows(&many).unwrap_err().status, 413);
}

proptest! {
    #[test]
    fn any_body_is_read_without_panic(body in ".{0,80}") {
        drop(rows(body.as_bytes(), &three(), Form::Rows));
        drop(rows(format!(r#"{{"features": {body}}}"#).as_bytes(), &two_inputs(), Form::Row));
    }

    #[test]
    fn different_floats_make_different_records(one_row in proptest::array::uniform3(-1e30_f32..1e30), other in proptest::array::uniform3(-1e30_f32..1e30)) {
        let record = |row: [f32; 3]| one(&serde_json::json!({ "features": row }).to_string(), &three()).unwrap();
        prop_assert_eq!(record(one_row) == record(other), one_row == other);
    }
}
