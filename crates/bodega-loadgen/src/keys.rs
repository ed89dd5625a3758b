//! Which keys are asked for, one after the other.

/// A source of keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Keys {
    /// Always the same.
    Same(u64),
    /// Any below a count, each as likely.
    Random { count: u64, state: u64 },
    /// All below a count, each once before any comes again, in an order that is no order.
    Shuffled { order: Vec<u64>, next: usize },
    /// One after the other.
    From(u64),
    /// Nine in ten below a count, each as likely; the tenth one after the other, none of them twice.
    Mixed { count: u64, next: u64, asked: u64, state: u64 },
}

/// Of those that are shuffled: their order is held in memory.
const MAX_SHUFFLED: u64 = 10_000_000;
/// Every server is asked for the same keys in the same order.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

impl Keys {
    /// Reads `same:KEY`, `random:COUNT`, `shuffled:COUNT`, `from:FIRST` or `mixed:COUNT:FIRST`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once(':').ok_or_else(|| format!("--keys {text}: no colon"))?;
        let (number, first) = match number.split_once(':') {
            Some((number, first)) if kind == "mixed" => {
                (number, first.parse().map_err(|_| format!("--keys {text}: no number at the end"))?)
            }
            _ => (number, 0),
        };
        let number: u64 = number.parse().map_err(|_| format!("--keys {text}: no number after the colon"))?;
        match kind {
            "same" => Ok(Self::Same(number)),
            "random" if number > 0 => Ok(Self::Random { count: number, state: SEED }),
            "shuffled" if (1..=MAX_SHUFFLED).contains(&number) => {
                Ok(Self::Shuffled { order: shuffled(number), next: 0 })
            }
            "mixed" if (1..=first).contains(&number) => {
                Ok(Self::Mixed { count: number, next: first, asked: 0, state: SEED })
            }
            "from" => Ok(Self::From(number)),
            _ => Err(format!("--keys {text}: neither same, random, shuffled, from nor mixed, or too many")),
        }
    }

    /// Returns the next key.
    pub(crate) fn next(&mut self) -> u64 {
        match self {
            Self::Same(key) => *key,
            Self::Random { count, state } => below(xorshift(state), *count),
            Self::Shuffled { order, next } => {
                let key = order[*next];
                *next = (*next + 1) % order.len();
                key
            }
            Self::From(next) => {
                *next += 1;
                *next - 1
            }
            Self::Mixed { count, next, asked, state } => {
                *asked += 1;
                if *asked % 10 != 0 {
                    return below(xorshift(state), *count);
                }
                *next += 1;
                *next - 1
            }
        }
    }
}

/// Every number below `count`, by Fisher and Yates.
fn shuffled(count: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..count).collect();
    let mut state = SEED;
    for at in (1..order.len()).rev() {
        order.swap(at, below(xorshift(&mut state), at as u64 + 1) as usize);
    }
    order
}

/// The next of numbers that look random.
pub(crate) fn xorshift(state: &mut u64) -> u64 {
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
    fn shuffled_keys_come_once_each_in_no_order_and_then_again() {
        let mut keys = Keys::read("shuffled:1000").unwrap();
        let first: Vec<u64> = (0..1000).map(|_| keys.next()).collect();
        let again: Vec<u64> = (0..1000).map(|_| keys.next()).collect();
        assert_eq!(first, again);
        let n_neighbours = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(n_neighbours < 10, "{n_neighbours}");
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
    }

    #[test]
    fn mixed_keys_are_new_one_time_in_ten() {
        let mut keys = Keys::read("mixed:50:1000").unwrap();
        let asked: Vec<u64> = (0..1000).map(|_| keys.next()).collect();
        let new: Vec<u64> = asked.iter().copied().filter(|&key| key >= 50).collect();
        assert!(new.iter().copied().eq(1000..1100), "{new:?}");
    }

    #[test]
    fn what_is_no_source_of_keys_is_refused() {
        for text in [
            "same",
            "same:",
            "random:0",
            "shuffled:0",
            "shuffled:99999999999",
            "other:1",
            "from:-1",
            "mixed:5",
            "mixed:0:9",
        ] {
            assert!(Keys::read(text).is_err(), "{text}");
        }
    }
}
