//! RFC 8259, by the table of its corners. The fuzz target `varlink` compares with another reader.
use happysock::dns::json::{DEEPEST, NotJson, Value, parse, write_string};

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

#[test]
fn whole_numbers_are_kept_and_others_are_numbers() {
    for (written, value) in [
        ("0", Value::Integer(0)),
        ("-0", Value::Integer(0)),
        ("10", Value::Integer(10)),
        ("-12", Value::Integer(-12)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("9223372036854775808", Value::Real),
        ("1.0", Value::Real),
        ("1e2", Value::Real),
        ("1E+2", Value::Real),
        ("-1.5e-30", Value::Real),
        (" \t\r\n7 \t\r\n", Value::Integer(7)),
    ] {
        assert_eq!(parse(written.as_bytes()), Ok(value), "{written}");
    }
    for written in ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "1 2", "1,", "NaN", "Infinity"] {
        assert_eq!(parse(written.as_bytes()), Err(NotJson), "{written}");
    }
}

#[test]
fn words() {
    assert_eq!(parse(b"null"), Ok(Value::Null));
    assert_eq!(parse(b"true"), Ok(Value::Bool(true)));
    assert_eq!(parse(b"false"), Ok(Value::Bool(false)));
    for written in ["nul", "nulll", "True", "tru", "undefined", "'x'"] {
        assert_eq!(parse(written.as_bytes()), Err(NotJson), "{written}");
    }
}

#[test]
fn strings() {
    for (written, value) in [
        (r#""""#, ""),
        (r#""plain""#, "plain"),
        (r#""a\"b\\c\/d""#, r#"a"b\c/d"#),
        (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
        (r#""\u0041\u00e9\u20AC""#, "Aé€"),
        (r#""x\ud83d\ude00y""#, "x😀y"),
        (r#""é\u0000€""#, "é\0€"),
        ("\"\u{7f}\u{80}\"", "\u{7f}\u{80}"),
    ] {
        assert_eq!(parse(written.as_bytes()), Ok(text(value)), "{written}");
    }
    for written in [
        r#"""#,
        r#""\""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83dA""#,
        r#""\ude00""#,
        "\"\n\"",
        "\"\u{1f}\"",
        r#""a" "b""#,
    ] {
        assert_eq!(parse(written.as_bytes()), Err(NotJson), "{written}");
    }
    assert_eq!(parse(b"\"\xff\""), Err(NotJson));
    assert_eq!(parse(b"\"\xc3\""), Err(NotJson));
}

#[test]
fn arrays_and_objects() {
    assert_eq!(parse(b"[]"), Ok(Value::Array(vec![])));
    assert_eq!(
        parse(b" [ 1 , [ ] , \"x\" ] "),
        Ok(Value::Array(vec![Value::Integer(1), Value::Array(vec![]), text("x"),]))
    );
    assert_eq!(parse(b"{}"), Ok(Value::Object(vec![])));
    assert_eq!(
        parse(br#" { "a" : 1 , "a" : { "\n" : null } } "#),
        Ok(Value::Object(vec![
            ("a".into(), Value::Integer(1)),
            ("a".into(), Value::Object(vec![("\n".into(), Value::Null)])),
        ]))
    );
    for written in [
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "{,}",
        "[]]",
        "{}x",
    ] {
        assert_eq!(parse(written.as_bytes()), Err(NotJson), "{written}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
    assert_eq!(parse(nested(DEEPEST + 1).as_bytes()), Err(NotJson));
    // However deep it is, it is not walked.
    assert_eq!(parse(&vec![b'['; 1_000_000]), Err(NotJson));
    let nested = |depth: usize| "{\"a\":".repeat(depth) + "0" + &"}".repeat(depth);
    assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
    assert_eq!(parse(nested(DEEPEST + 1).as_bytes()), Err(NotJson));
    // What lies beside each other is not deep.
    let wide = "[".to_owned() + &"[],".repeat(1000) + "{}]";
    assert!(parse(wide.as_bytes()).is_ok());
}

#[test]
fn what_is_written_is_read_again() {
    for written in ["", "www.example.org", "a\"b\\c/d", "\0\u{1}\n\u{1f} \u{7f}é€😀"] {
        let mut quoted = Vec::new();
        write_string(written, &mut quoted);
        assert!(quoted.iter().all(|&byte| byte >= 0x20));
        assert_eq!(parse(&quoted), Ok(text(written)));
    }
}
