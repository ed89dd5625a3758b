//! The algorithms by the names that configuration and replay give them.

use std::fmt;

use crate::Eviction;
use crate::clock::Clock;
use crate::lru::Lru;
use crate::noop::Noop;
use crate::s3fifo::S3Fifo;
use crate::shelf::Shelf;

/// All names.
pub const NAMES: [&str; 5] = ["clock", "lru", "noop", "s3fifo", "shelf"];

/// No algorithm has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPolicy(String);

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no eviction policy is called {:?}; there are {}", self.0, NAMES.join(", "))
    }
}

impl std::error::Error for UnknownPolicy {}

/// The algorithm called `name`, for a cache of `capacity_bytes`. `weight` says what a miss costs, 1 by request and 0
/// by byte, to those that ask.
///
/// # Errors
/// When there is none of this name; the error says which there are.
pub fn by_name(name: &str, capacity_bytes: u64, weight: f64) -> Result<Box<dyn Eviction>, UnknownPolicy> {
    Ok(match name {
        "clock" => Box::new(Clock::default()),
        "lru" => Box::new(Lru::default()),
        "noop" => Box::new(Noop::default()),
        "s3fifo" => Box::new(S3Fifo::new(capacity_bytes)),
        "shelf" => Box::new(Shelf::new(capacity_bytes, weight)),
        _ => return Err(UnknownPolicy(name.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known() {
        for name in NAMES {
            let mut policy = by_name(name, 1000, 0.5).unwrap();
            policy.insert(0, 1, 10);
            assert_eq!((policy.len(), policy.used_bytes()), (1, 10), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_told_which_there_are() {
        let error = by_name("shelv", 1000, 0.5).err().unwrap();
        assert_eq!(
            error.to_string(),
            "no eviction policy is called \"shelv\"; there are clock, lru, noop, s3fifo, shelf"
        );
    }
}
