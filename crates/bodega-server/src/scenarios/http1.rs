//! A client of HTTP/1.1 that reads answers as strictly as the edge reads those of origins.

use bodega_edge::interim::Interim;
use bodega_http1::{
    AnswerFraming, ChunkDecoder, Codings, EMPTY_FIELD, Limits, MAX_FIELDS, Parsed, RequestKind, parse_response,
};
use bodega_semantics::Fields;
use bodega_testkit::bench::TestRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::scenarios::{Answered, Io};

/// Why a request has no place in HTTP/1.1.
pub(super) fn cannot_say(request: &TestRequest) -> Option<&'static str> {
    let is_line = request.target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_line {
        return Some("no line of HTTP/1.1 holds its target");
    }
    if request.method == "CONNECT" {
        return Some("the target of CONNECT is no path");
    }
    None
}

pub(super) struct Client {
    reader: ReadHalf<Box<dyn Io>>,
    writer: WriteHalf<Box<dyn Io>>,
    input: Vec<u8>,
}

struct HeadRead {
    status: u16,
    fields: Fields,
    framing: AnswerFraming,
    keep_alive: bool,
}

impl Client {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        let (reader, writer) = tokio::io::split(io);
        Self { reader, writer, input: Vec::new() }
    }

    pub(super) async fn send(&mut self, request: &TestRequest) -> Answered {
        let bytes = written(request);
        let is_head = request.method == "HEAD";
        let Self { reader, writer, input } = self;
        let writing = async {
            // An edge that takes no more may have answered all the same.
            if writer.write_all(&bytes).await.is_ok() {
                let _ = writer.flush().await;
            }
        };
        let ((), answered) = tokio::join!(writing, read(reader, input, is_head));
        answered
    }
}

fn written(request: &TestRequest) -> Vec<u8> {
    let method = if request.method.is_empty() { "GET" } else { &request.method };
    let host = if request.host.is_empty() { "example.com" } else { &request.host };
    let mut bytes = format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n", request.target).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !request.body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", request.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}

async fn read(reader: &mut ReadHalf<Box<dyn Io>>, input: &mut Vec<u8>, is_head: bool) -> Answered {
    let mut answered = Answered {
        status: 0,
        fields: Fields::new(),
        interim: Vec::new(),
        body: Vec::new(),
        trailers: Fields::new(),
        broken: true,
        keeps: false,
    };
    let head = loop {
        match head(reader, input, is_head).await {
            None => return answered,
            Some(HeadRead { status, fields, .. }) if status < 200 => {
                answered.interim.push(Interim { status, fields });
            }
            Some(head) => break head,
        }
    };
    (answered.status, answered.fields) = (head.status, head.fields);
    answered.broken = body(reader, input, head.framing, &mut answered).await.is_none();
    // What is behind an answer that is whole would be an answer that nobody asked for.
    assert!(answered.broken || input.is_empty(), "bytes behind an answer");
    answered.keeps = head.keep_alive && !answered.broken;
    answered
}

/// Reads a head; `None` if the connection ends within it.
async fn head(reader: &mut ReadHalf<Box<dyn Io>>, input: &mut Vec<u8>, is_head: bool) -> Option<HeadRead> {
    let kind = if is_head { RequestKind::Head } else { RequestKind::Other };
    loop {
        let mut slots = [EMPTY_FIELD; MAX_FIELDS];
        match parse_response(input, kind, Codings::Strict, &mut slots, &Limits::default()).unwrap() {
            Parsed::Complete(head, n_bytes) => {
                let mut fields = Fields::copy_of(head.fields);
                // The codings are read; only the connection's end, if there is one, is the client's business.
                fields.remove("transfer-encoding");
                let read = HeadRead { status: head.status, fields, framing: head.framing, keep_alive: head.keep_alive };
                input.drain(..n_bytes);
                return Some(read);
            }
            Parsed::Partial => more(reader, input).await?,
        }
    }
}

async fn body(
    reader: &mut ReadHalf<Box<dyn Io>>,
    input: &mut Vec<u8>,
    framing: AnswerFraming,
    answered: &mut Answered,
) -> Option<()> {
    let body = &mut answered.body;
    match framing {
        AnswerFraming::None => {}
        AnswerFraming::Length(n_bytes) => {
            let n_bytes = usize::try_from(n_bytes).unwrap();
            while body.len() < n_bytes {
                if input.is_empty() {
                    more(reader, input).await?;
                }
                let n_taken = (n_bytes - body.len()).min(input.len());
                body.extend(input.drain(..n_taken));
            }
        }
        AnswerFraming::Chunked => {
            let mut decoder = ChunkDecoder::keeping_trailers();
            while !decoder.is_done() {
                if input.is_empty() {
                    more(reader, input).await?;
                }
                let step = decoder.decode(input).unwrap();
                body.extend_from_slice(&input[step.data]);
                input.drain(..step.consumed);
            }
            answered.trailers = decoder.take_trailers().unwrap_or_default();
        }
        AnswerFraming::UntilClose => while more(reader, body).await.is_some() {},
    }
    Some(())
}

async fn more(reader: &mut ReadHalf<Box<dyn Io>>, input: &mut Vec<u8>) -> Option<()> {
    // Broken or ended is the same to who waits for more.
    matches!(reader.read_buf(input).await, Ok(1..)).then_some(())
}
