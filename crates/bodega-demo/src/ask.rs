//! For the tests: a client that sends one request over a new connection and reads to the end, and a directory that
//! goes away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n")?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let status = head[9..12].parse().unwrap();
    Ok(Answer { status, head, body: received[end + 4..].to_vec() })
}

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        static N_MADE: AtomicU32 = AtomicU32::new(0);
        let number = N_MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bodega-demo-test-{}-{number}", std::process::id()));
        for (name, content) in files {
            let file = path.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
