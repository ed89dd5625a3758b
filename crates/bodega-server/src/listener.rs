//! Addresses to listen on, and the sockets for them: one a thread (`SO_REUSEPORT`) for TCP, one shared for Unix.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use socket2::{Domain, Protocol, Socket, Type};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all addresses), or `unix:/run/bodega.sock`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let full =
            if text.starts_with(':') { format!("[::]{text}") } else { text.replacen("localhost:", "127.0.0.1:", 1) };
        full.parse().map(Self::Tcp).map_err(|_| ListenError {
            address: text.to_owned(),
            kind: io::ErrorKind::InvalidInput,
            message: "is no address: write `127.0.0.1:8080`, `[::1]:8080`, `:8080` or `unix:/run/bodega.sock`"
                .to_owned(),
        })
    }
}

/// Why an address cannot be listened on.
#[derive(Clone, Debug)]
pub struct ListenError {
    /// The address as asked for.
    pub address: String,
    /// What kind of failure it was; `AddrInUse` is the usual one.
    pub kind: io::ErrorKind,
    message: String,
}

impl fmt::Display for ListenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.address, self.message)
    }
}

impl std::error::Error for ListenError {}

/// The sockets of one address.
pub(crate) struct Listening {
    /// What clients connect to: `http://127.0.0.1:8080`, `unix:/run/bodega.sock`.
    pub(crate) url: String,
    /// One for each thread.
    pub(crate) sockets: Vec<Socket>,
    pub(crate) is_unix: bool,
    pub(crate) is_tls: bool,
    /// Removed when the edge ends, unless a successor has taken the socket over.
    pub(crate) path: Option<PathBuf>,
}

impl Listening {
    /// The same for clients that come by TLS.
    pub(crate) fn with_tls(self) -> Self {
        Self { url: self.url.replacen("http:", "https:", 1), is_tls: true, ..self }
    }
}

/// Opens `n_threads` sockets for `address`.
pub(crate) fn open(address: &str, n_threads: usize) -> Result<Listening, ListenError> {
    let error = |error: &io::Error| ListenError {
        address: address.to_owned(),
        kind: error.kind(),
        message: match error.kind() {
            io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
            io::ErrorKind::PermissionDenied => "listening there is not permitted".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => error.to_string(),
        },
    };
    match Address::parse(address)? {
        Address::Tcp(wanted) => open_tcp(wanted, n_threads).map_err(|found| error(&found)),
        Address::Unix(path) => open_unix(path, n_threads).map_err(|found| error(&found)),
    }
}

fn open_tcp(wanted: SocketAddr, n_threads: usize) -> io::Result<Listening> {
    // The first socket is bound without SO_REUSEPORT, so that a port in use is an error even when its holder is
    // another bodega; only then is the port opened to this process's other threads.
    let first = tcp_socket(wanted)?;
    first.bind(&wanted.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?.as_socket().unwrap_or(wanted);
    let mut sockets = vec![first];
    for _ in 1..n_threads {
        let socket = tcp_socket(wanted)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound.into())?;
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(Listening { url: format!("http://{bound}"), sockets, is_unix: false, is_tls: false, path: None })
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well; a single IPv6 address never did.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

fn open_unix(path: PathBuf, n_threads: usize) -> io::Result<Listening> {
    if path.exists() {
        // A socket that nobody answers on was left behind by a process that died; anything else is in use.
        let is_socket = {
            use std::os::unix::fs::FileTypeExt;
            std::fs::symlink_metadata(&path)?.file_type().is_socket()
        };
        let in_use = !is_socket || std::os::unix::net::UnixStream::connect(&path).is_ok();
        if in_use {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        std::fs::remove_file(&path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&socket2::SockAddr::unix(&path)?)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    let url = format!("unix:{}", path.display());
    shared(socket, url, true, Some(path), n_threads)
}

/// Takes over a listening socket that another process has opened: systemd's, or a predecessor's.
pub(crate) fn inherit(fd: RawFd, n_threads: usize) -> io::Result<Listening> {
    // SAFETY: the caller of the native module gives this descriptor away: whoever received it (socket activation,
    // a handover) owns it and passes it here once.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let socket = Socket::from(owned);
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {fd} is no listening socket")));
    }
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    let address = socket.local_addr()?;
    match address.as_socket() {
        Some(bound) => shared(socket, format!("http://{bound}"), false, None, n_threads),
        None => {
            let path = address.as_pathname().map(PathBuf::from).unwrap_or_default();
            shared(socket, format!("unix:{}", path.display()), true, Some(path), n_threads)
        }
    }
}

fn shared(
    socket: Socket,
    url: String,
    is_unix: bool,
    path: Option<PathBuf>,
    n_threads: usize,
) -> io::Result<Listening> {
    let mut sockets = Vec::with_capacity(n_threads);
    for _ in 1..n_threads {
        sockets.push(socket.try_clone()?);
    }
    sockets.push(socket);
    Ok(Listening { url, sockets, is_unix, is_tls: false, path })
}

/// A copy of each distinct socket, for a successor process.
pub(crate) fn raw_fds(listening: &[Listening], is_tls: bool) -> Vec<RawFd> {
    let of_kind = listening.iter().filter(|one| one.is_tls == is_tls);
    of_kind.flat_map(|one| one.sockets.iter().map(AsRawFd::as_raw_fd)).collect()
}

const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_product_holds_itself_is_in_use() {
        let first = open("127.0.0.1:0", 2).unwrap();
        let address = first.url.strip_prefix("http://").unwrap();
        let second = open(address, 2);
        assert_eq!(second.err().map(|error| error.kind), Some(io::ErrorKind::AddrInUse));
    }

    #[test]
    fn a_unix_socket_left_behind_is_taken_and_one_in_use_is_not() {
        let path = std::env::temp_dir().join(format!("bodega-listener-{}.sock", std::process::id()));
        let address = format!("unix:{}", path.display());
        drop(open(&address, 1).unwrap());
        let held = open(&address, 1).unwrap();
        assert_eq!(open(&address, 1).err().map(|error| error.kind), Some(io::ErrorKind::AddrInUse));
        drop(held);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_address_without_port_says_what_would_be_right() {
        let error = Address::parse("127.0.0.1").unwrap_err();
        assert!(error.to_string().contains("write `127.0.0.1:8080`"));
    }
}
