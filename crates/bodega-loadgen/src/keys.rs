//! Which keys are asked for, one after the other.

/// A source of keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Keys {
    /// Always the same.
    Same(u64),
    /// Any below a count, each as likely.
    Random { count: u64, state: u64 },
    /// One after the other.
    From(u64),
}

impl Keys {
    /// Reads `same:KEY`, `random:COUNT` or `from:FIRST`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once(':').ok_or_else(|| format!("--keys {text}: no colon"))?;
        let number: u64 = number.parse().map_err(|_| format!("--keys {text}: no number after the colon"))?;
        match kind {
            "same" => Ok(Self::Same(number)),
            // A fixed seed: every server is asked for the same keys in the same order.
            "random" if number > 0 => Ok(Self::Random { count: number, state: 0x9E37_79B9_7F4A_7C15 }),
            "from" => Ok(Self::From(number)),
            _ => Err(format!("--keys {text}: neither same, random nor from")),
        }
    }

    /// Returns the next key.
    pub(crate) fn next(&mut self) -> u64 {
        match self {
            Self::Same(key) => *key,
            Self::Random { count, state } => below(xorshift(state), *count),
            Self::From(next) => {
                *next += 1;
                *next - 1
            }
        }
    }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn below(random: u64, count: u64) -> u64 {
    ((u128::from(random) * u128::from(count)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_each_other_as_asked() {
        let mut same = Keys::read("same:7").unwrap();
        assert_eq!([same.next(), same.next()], [7, 7]);
        let mut from = Keys::read("from:7").unwrap();
        assert_eq!([from.next(), from.next()], [7, 8]);
    }

    #[test]
    fn random_keys_reach_every_key_and_none_beyond() {
        let mut keys = Keys::read("random:100").unwrap();
        let mut seen = [0; 100];
        for _ in 0..100_000 {
            seen[keys.next() as usize] += 1;
        }
        assert!(seen.iter().all(|&times| (700..1300).contains(&times)), "{seen:?}");
    }

    #[test]
    fn what_is_no_source_of_keys_is_refused() {
        for text in ["same", "same:", "random:0", "other:1", "from:-1"] {
            assert!(Keys::read(text).is_err(), "{text}");
        }
    }
}
