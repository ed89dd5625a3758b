//! The time as Signature Version 4 writes it.

use std::time::{SystemTime, UNIX_EPOCH};

/// A second of UTC: `20130524T000000Z`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AmzDate(String);

impl AmzDate {
    pub(crate) fn now() -> Self {
        Self::at(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// The second `unix_seconds` after the epoch.
    pub(crate) fn at(unix_seconds: u64) -> Self {
        let (year, month, day) = civil(unix_seconds / 86_400);
        let second = unix_seconds % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Self(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The day alone: `20130524`.
    pub(crate) fn day(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }
}

/// Year, month and day of the Gregorian calendar, counted in eras of 400 years that begin in March.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ];
        for (unix_seconds, expected) in cases {
            assert_eq!(AmzDate::at(unix_seconds).as_str(), expected);
        }
    }
}
