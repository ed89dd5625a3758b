//! What the loop knows of a connection, whatever is spoken on it.

use mio::net::TcpStream;

/// A connection to the server under load.
pub(crate) trait Client {
    /// What tells when something has come.
    fn socket(&mut self) -> &mut TcpStream;

    /// How many requests may be under way at once.
    fn capacity(&self) -> usize;

    /// Prepares a request for a key.
    fn ask(&mut self, key: u64) -> Result<(), String>;

    /// Sends what was prepared.
    fn send(&mut self) -> Result<(), String>;

    /// Takes what has come, and returns how many answers it made whole.
    fn take(&mut self, expected: &Expected) -> Result<usize, String>;
}

/// What is the same for every request.
pub(crate) struct Expected {
    pub(crate) body_bytes: usize,
    pub(crate) paths_in_bodies: bool,
    /// What every body has to be; compared with the first one of each connection that keeps it.
    pub(crate) body: Option<Vec<u8>>,
}

/// Digits of a key in a path.
pub(crate) const KEY_DIGITS: usize = 12;

/// Writes a key as a path ends with it.
pub(crate) fn write_key(digits: &mut [u8], key: u64) {
    let mut rest = key;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}
