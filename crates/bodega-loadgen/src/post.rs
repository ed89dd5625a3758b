//! A POST by HTTP/1.1 in plain, its body made from a template: a request under way, and its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::TcpStream;

use crate::answer;
use crate::client::{Client, Expected, KEY_DIGITS, write_key};

/// What stands in a template for each of a key's digits.
const PLACE: u8 = b'#';
/// An answer may have so much, with its head: those to one question are small.
const MAX_ANSWER: usize = 16 << 10;

/// What is asked, but for the digits of the key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    request: Vec<u8>,
    /// Where the digits go.
    places: [usize; KEY_DIGITS],
}

impl Template {
    /// Makes the request from its path and from a body that has twelve `#`.
    pub(crate) fn new(port: u16, path: &str, body: &[u8]) -> Result<Self, String> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let head = request.len();
        request.extend_from_slice(body);
        let found: Vec<usize> = (head..request.len()).filter(|&at| request[at] == PLACE).collect();
        let places = found
            .try_into()
            .map_err(|found: Vec<usize>| format!("the template has {} places `#`, not {KEY_DIGITS}", found.len()))?;
        Ok(Self { request, places })
    }

    /// Writes a key into the body.
    fn fill(&mut self, key: u64) {
        let mut digits = [0; KEY_DIGITS];
        write_key(&mut digits, key);
        for (&at, digit) in self.places.iter().zip(digits) {
            self.request[at] = digit;
        }
    }
}

/// A connection on which one request is under way at a time.
pub(crate) struct Post {
    stream: TcpStream,
    template: Template,
    is_unsent: bool,
    is_under_way: bool,
    received: Box<[u8]>,
    n_received: usize,
}

impl Post {
    /// Connects, and waits until that is done.
    pub(crate) fn connect(port: u16, template: &Template) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            template: template.clone(),
            is_unsent: false,
            is_under_way: false,
            received: vec![0; MAX_ANSWER].into(),
            n_received: 0,
        })
    }

    /// Whether the answer is whole.
    fn is_whole(&self) -> Result<bool, String> {
        let received = &self.received[..self.n_received];
        let Some(head) = answer::read(received)? else {
            return if received.len() == MAX_ANSWER { Err("a head of more than 16 KiB".to_owned()) } else { Ok(false) };
        };
        let length = head.length.saturating_add(head.body_bytes);
        match received.len() {
            _ if head.body_bytes == 0 => Err(format!("an answer without a body: {}", answer::shown(received))),
            _ if length > MAX_ANSWER => Err(format!("an answer of {length} bytes: {}", answer::shown(received))),
            got if got > length => Err(format!("more than one answer: {}", answer::shown(received))),
            got => Ok(got == length),
        }
    }
}

impl Client for Post {
    fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn capacity(&self) -> usize {
        1
    }

    fn ask(&mut self, key: u64) -> Result<(), String> {
        self.template.fill(key);
        self.n_received = 0;
        self.is_unsent = true;
        self.is_under_way = true;
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.is_unsent) {
            return Ok(());
        }
        // Nothing else is on its way: a request always fits the socket's buffer.
        self.stream.write_all(&self.template.request).map_err(|error| format!("sending: {error}"))
    }

    fn take(&mut self, _: &Expected) -> Result<usize, String> {
        while self.is_under_way {
            match self.stream.read(&mut self.received[self.n_received..]) {
                Ok(0) => return Err("the connection was closed within an answer".to_owned()),
                Ok(got) => self.n_received += got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("receiving: {error}")),
            }
            if self.is_whole()? {
                self.is_under_way = false;
                return Ok(1);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_key_goes_where_the_template_says() {
        let mut template = Template::new(80, "/predict", b"[0.######,0.######]").unwrap();
        template.fill(1_234_567);
        assert!(template.request.ends_with(b"Content-Length: 19\r\n\r\n[0.000001,0.234567]"));
        template.fill(2);
        assert!(template.request.ends_with(b"\r\n\r\n[0.000000,0.000002]"));
    }

    #[test]
    fn a_template_without_twelve_places_is_refused() {
        assert!(Template::new(80, "/predict", b"[0.######]").unwrap_err().contains("6 places"));
    }

    #[test]
    fn an_answer_is_taken_in_whatever_pieces_it_comes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let template = Template::new(port, "/predict", b"[0.######,0.######]").unwrap();
        let mut post = Post::connect(port, &template).unwrap();
        post.ask(7).unwrap();
        post.send().unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut asked = BufReader::new(stream);
        let mut line = String::new();
        asked.read_line(&mut line).unwrap();
        assert_eq!(line, "POST /predict HTTP/1.1\r\n");
        let mut stream = asked.into_inner();
        let expected = Expected { body_bytes: 0, paths_in_bodies: false, body: None };
        for piece in [&b"HTTP/1.1 200 OK\r\nContent-"[..], b"Length: 3\r\n\r\n", b"[1", b"]"] {
            assert_eq!(post.take(&expected), Ok(0));
            stream.write_all(piece).unwrap();
        }
        while post.take(&expected).unwrap() == 0 {}
        assert_eq!(post.take(&expected), Ok(0), "nothing is asked any more");
        post.ask(8).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\n\r\nx").unwrap();
        let refused = loop {
            match post.take(&expected) {
                Ok(_) => {}
                Err(refused) => break refused,
            }
        };
        assert!(refused.starts_with("not a 200"), "{refused}");
    }
}
