//! JSON texts (RFC 8259), as far as systemd-resolved's replies need them: whole numbers, strings, arrays and
//! objects are kept, everything else only has to be well-formed.
use std::borrow::Cow;

/// How deep arrays and objects may lie in each other. A reply of systemd-resolved needs five.
pub const DEEPEST: usize = 16;

/// What a JSON text says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// Written without a fraction and an exponent, and within range.
    Integer(i64),
    /// Any other number.
    Real,
    /// Borrowed where it has no escapes.
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// In their order, duplicates included.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// It is not JSON, or deeper than [`DEEPEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// Reads a whole text.
pub fn parse(text: &[u8]) -> Result<Value<'_>, NotJson> {
    let text = std::str::from_utf8(text).map_err(|_| NotJson)?;
    let mut reader = Reader { text, place: 0 };
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.place == text.len() { Ok(value) } else { Err(NotJson) }
}

/// Appends a string in quotes.
pub fn write_string(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', byte]),
            0..0x20 => into.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

struct Reader<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    /// Goes past a byte, if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.place += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.place += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, NotJson> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => Ok(Value::Object(self.list(b'}', depth, |reader, depth| {
                reader.skip_blanks();
                let name = reader.string()?;
                reader.skip_blanks();
                reader.expect(b':')?;
                Ok((name, reader.value(depth)?))
            })?)),
            Some(b'[') => Ok(Value::Array(self.list(b']', depth, Reader::value)?)),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    /// What stands between two brackets, each item read by `item`.
    fn list<T>(
        &mut self,
        end: u8,
        depth: usize,
        item: impl Fn(&mut Self, usize) -> Result<T, NotJson>,
    ) -> Result<Vec<T>, NotJson> {
        if depth == DEEPEST {
            return Err(NotJson);
        }
        self.place += 1;
        self.skip_blanks();
        let mut items = Vec::new();
        if self.take(end) {
            return Ok(items);
        }
        loop {
            items.push(item(self, depth + 1)?);
            self.skip_blanks();
            if self.take(end) {
                return Ok(items);
            }
            self.expect(b',')?;
        }
    }

    fn word(&mut self) -> Result<Value<'a>, NotJson> {
        let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        let rest = &self.text[self.place..];
        let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word)).ok_or(NotJson)?;
        self.place += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'a>, NotJson> {
        let start = self.place;
        self.take(b'-');
        // No further digit may follow a leading zero.
        if !self.take(b'0') {
            self.digits()?;
        }
        let whole = &self.text[start..self.place];
        let mut is_whole = true;
        if self.take(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_whole = false;
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(whole.parse().ok().filter(|_| is_whole).map_or(Value::Real, Value::Integer))
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.place;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.place += 1;
        }
        if self.place > start { Ok(()) } else { Err(NotJson) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, NotJson> {
        self.expect(b'"')?;
        let mut unescaped = String::new();
        let mut start = self.place;
        loop {
            // All that ends a stretch is one byte of ASCII, so that it can be cut out there.
            match self.peek().ok_or(NotJson)? {
                b'"' => {
                    let stretch = &self.text[start..self.place];
                    self.place += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(stretch));
                    }
                    return Ok(Cow::Owned(unescaped + stretch));
                }
                b'\\' => {
                    unescaped.push_str(&self.text[start..self.place]);
                    self.place += 1;
                    unescaped.push(self.escaped()?);
                    start = self.place;
                }
                0..0x20 => return Err(NotJson),
                _ => self.place += 1,
            }
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Result<char, NotJson> {
        let letter = self.peek().ok_or(NotJson)?;
        self.place += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code_unit()?;
                let mut second = None;
                if (0xd800..0xdc00).contains(&first) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    second = Some(self.code_unit()?);
                }
                let mut letters = char::decode_utf16([first].into_iter().chain(second));
                letters.next().and_then(Result::ok).ok_or(NotJson)?
            }
            _ => return Err(NotJson),
        })
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u16, NotJson> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(NotJson)?;
            unit = unit << 4 | digit as u16;
            self.place += 1;
        }
        Ok(unit)
    }
}
