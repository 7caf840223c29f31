//! A race as qlog, in the form for streams: JSON text sequences (RFC 7464) with a header first.
//!
//! The names follow the events that draft-kuehlewind-happy-qlog describes. No registered schema has them yet,
//! so the schema is given by a name of this project's own.

use crate::record::{Record, Step};
use anyhow::Result;
use serde_json::{Value, json};

const SCHEMA: &str = "urn:happysock:qlog:happy-eyeballs-1";
/// What a text sequence puts before each value (RFC 7464, section 2.2).
const RECORD_SEPARATOR: u8 = 0x1e;

/// All races, one after the other, told apart by their group.
pub fn text(records: &[Record]) -> Result<Vec<u8>> {
    let title = records.first().map(Record::title).unwrap_or_default();
    let mut text = Vec::new();
    push(&mut text, &header(&title))?;
    for (number, record) in records.iter().enumerate() {
        for event in &record.events {
            let (name, data) = name_and_data(&event.step)?;
            push(
                &mut text,
                &json!({
                    "time": record.began_unix_ms as f64 + event.time_ms,
                    "name": format!("happy_eyeballs:{name}"),
                    "group_id": number.to_string(),
                    "data": data,
                }),
            )?;
        }
    }
    Ok(text)
}

fn header(title: &str) -> Value {
    json!({
        "file_schema": "urn:ietf:params:qlog:file:sequential",
        "serialization_format": "application/qlog+json-seq",
        "title": title,
        "trace": {
            "common_fields": {
                "time_format": "relative_to_epoch",
                "reference_time": { "clock_type": "system", "epoch": "1970-01-01T00:00:00.000Z" },
            },
            "vantage_point": { "name": "happy", "type": "client" },
            "event_schemas": [SCHEMA],
        },
    })
}

fn push(text: &mut Vec<u8>, value: &Value) -> Result<()> {
    text.push(RECORD_SEPARATOR);
    serde_json::to_writer(&mut *text, value)?;
    text.push(b'\n');
    Ok(())
}

/// The name of an event, and what it carries: the fields of the JSON.
fn name_and_data(step: &Step) -> Result<(String, Value)> {
    let mut data = serde_json::to_value(step)?;
    let name = data.as_object_mut().and_then(|fields| fields.remove("event"));
    let name = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    Ok((name, data))
}
