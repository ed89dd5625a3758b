//! What is looked at in an answer's head, and nothing more: whoever asks must stay cheap.

/// The head of an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    /// Bytes of the head, with its blank line.
    pub(crate) length: usize,
    /// What `Content-Length` says.
    pub(crate) body_bytes: usize,
}

/// Reads a head from the first bytes of an answer.
///
/// Returns `None` while the blank line has not come.
pub(crate) fn read(received: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let length = end + 4;
    let head = &received[..length];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("not a 200: {}", shown(head)));
    }
    let body_bytes = content_length(head).ok_or_else(|| format!("no Content-Length: {}", shown(head)))?;
    Ok(Some(Head { length, body_bytes }))
}

/// Bytes as a message may show them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).escape_debug().to_string()
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head.split(|&byte| byte == b'\n').find(|line| {
        // The first letter first: most lines are told apart by it.
        line.len() > NAME.len() && (line[0] | 0x20) == b'c' && line[..NAME.len()].eq_ignore_ascii_case(NAME)
    })?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-length: 12\r\n\r\nbody";
        assert_eq!(read(&whole[..20]), Ok(None));
        assert_eq!(read(whole), Ok(Some(Head { length: whole.len() - 4, body_bytes: 12 })));
    }

    #[test]
    fn other_answers_are_errors() {
        assert!(read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
