//! The tokens that were found right, so that each is checked once: digests and when they expire, in bounded room.
//!
//! A table of small sets, each under a lock of its own: of a digest, which nobody can choose, any part names a set. What
//! has expired stays until its place is wanted, so that who comes with it again is refused without a check.

use bodega_semantics::Timestamp;
use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Verified {
    sets: Box<[Mutex<Vec<Token>>]>,
}

#[derive(Debug)]
struct Token {
    digest: [u8; 32],
    until: Timestamp,
}

impl Verified {
    pub(super) fn new() -> Self {
        Self { sets: (0..N_SETS).map(|_| Mutex::new(Vec::new())).collect() }
    }

    /// When the token with this digest expires, if it was found right.
    pub(super) fn until(&self, digest: &[u8; 32]) -> Option<Timestamp> {
        // Digests of what an attacker presents tell nothing of others' when they are compared up to a difference: to
        // get near to one takes as many attempts as to guess the token.
        self.set(digest).lock().iter().find(|token| token.digest == *digest).map(|token| token.until)
    }

    /// Remembers it, in place of what expires first where there is no room.
    pub(super) fn remember(&self, digest: &[u8; 32], until: Timestamp) {
        let mut set = self.set(digest).lock();
        let token = Token { digest: *digest, until };
        match set.iter().position(|known| known.digest == *digest) {
            // Two threads have checked it at the same time.
            Some(at) => set[at] = token,
            None if set.len() < N_IN_SET => set.push(token),
            None => {
                if let Some(first) = set.iter_mut().min_by_key(|known| known.until) {
                    *first = token;
                }
            }
        }
    }

    fn set(&self, digest: &[u8; 32]) -> &Mutex<Vec<Token>> {
        &self.sets[usize::from(u16::from_be_bytes([digest[0], digest[1]])) % N_SETS]
    }
}

const N_SETS: usize = 1024;
const N_IN_SET: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[2..6].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn a_full_set_lets_go_of_what_expires_first() {
        let verified = Verified::new();
        for number in 0..20_u32 {
            verified.remember(&digest(number), Timestamp(u64::from(100 - number)));
        }
        let held: Vec<u32> = (0..20).filter(|number| verified.until(&digest(*number)).is_some()).collect();
        assert_eq!(held, [0, 1, 2, 3, 4, 5, 6, 19]);
        assert_eq!(verified.until(&digest(6)), Some(Timestamp(94)));
    }

    #[test]
    fn a_token_has_one_place_however_often_it_was_checked() {
        let verified = Verified::new();
        for until in 0..20 {
            verified.remember(&digest(1), Timestamp(until));
        }
        assert_eq!(verified.set(&digest(1)).lock().len(), 1);
        assert_eq!(verified.until(&digest(1)), Some(Timestamp(19)));
    }
}
