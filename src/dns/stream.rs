//! Messages as they come by TCP: each with its length before it (RFC 1035, section 4.2.2), in pieces of any
//! length.

/// The first message of a stream, and what follows it. None until it is there in full.
pub(super) fn first_message(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stream.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// What has come by two connections and is not a whole message yet. Nothing but a word while nothing has,
/// since most questions are never asked by TCP.
#[derive(Debug, Default)]
pub(super) struct Streams(Option<Box<[Vec<u8>; 2]>>);

impl Streams {
    pub(super) fn take(&mut self, connection: usize) -> Vec<u8> {
        self.0.as_mut().map_or(Vec::new(), |streams| std::mem::take(&mut streams[connection]))
    }

    pub(super) fn put(&mut self, connection: usize, stream: Vec<u8>) {
        if !stream.is_empty() {
            self.0.get_or_insert_default()[connection] = stream;
        }
    }
}
