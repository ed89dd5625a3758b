//! HTTP dates: three formats in, one out. RFC 9110 section 5.6.7.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Reads a date in any of the three formats, in any case and whatever its weekday, but else strictly: spaces and zone
/// have to be right, and there is no second 60. `None` if it is none, or lies before the epoch. Two-digit years are those from 1970 to 2069, which for
/// now is what section 5.6.7 says of dates more than 50 years ahead, without a clock.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    let text = text.trim_ascii();
    // The longest is `Wednesday, 06-Nov-94 08:49:37 GMT`.
    let mut written = [0_u8; 33];
    let written = written.get_mut(..text.len())?;
    // RFC 9110 section 5.6.7 asks recipients to be robust: names are told without case, as the library knows them.
    let mut is_inside = false;
    for (to, from) in written.iter_mut().zip(text) {
        *to = if is_inside { from.to_ascii_lowercase() } else { from.to_ascii_uppercase() };
        is_inside = from.is_ascii_alphabetic();
    }
    if let Some(zone) = written.last_chunk_mut::<3>()
        && zone.eq_ignore_ascii_case(b"gmt")
    {
        zone.make_ascii_uppercase();
    }
    let time =
        httpdate::parse_http_date(std::str::from_utf8(written).ok()?).ok().or_else(|| on_another_day(written))?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_seconds(since.as_secs()))
}

/// The weekday follows from the date, and a wrong one makes it no other date: as if it were right.
fn on_another_day(written: &[u8]) -> Option<SystemTime> {
    let n_letters = written.iter().position(|byte| !byte.is_ascii_alphabetic())?;
    let (day, rest) = written.split_at(n_letters);
    let known = DAYS.iter().position(|name| name.as_bytes() == day || &name.as_bytes()[..3] == day)?;
    let mut text = [0_u8; 34];
    DAYS.iter().enumerate().filter(|(at, _)| *at != known).find_map(|(_, name)| {
        let name = if n_letters == 3 { &name.as_bytes()[..3] } else { name.as_bytes() };
        let text = text.get_mut(..name.len() + rest.len())?;
        text[..name.len()].copy_from_slice(name);
        text[name.len()..].copy_from_slice(rest);
        httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
    })
}

/// Writes `Sun, 06 Nov 1994 08:49:37 GMT`, without allocating.
#[must_use]
pub fn format(time: Timestamp) -> [u8; 29] {
    // Days and civil dates: the algorithm of H. Hinnant, "chrono-compatible low-level date algorithms".
    let seconds = time.seconds().min(MAX_SECONDS);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);

    let mut out = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    out[..3].copy_from_slice(WEEKDAYS[index(days % 7)]);
    two(&mut out[5..7], day);
    out[8..11].copy_from_slice(MONTHS[index(month - 1)]);
    two(&mut out[12..14], year / 100);
    two(&mut out[14..16], year % 100);
    two(&mut out[17..19], of_day / 3600);
    two(&mut out[20..22], of_day / 60 % 60);
    two(&mut out[23..25], of_day % 60);
    out
}

/// The last second of the year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

fn two(out: &mut [u8], value: u64) {
    out[0] = digit(value / 10 % 10);
    out[1] = digit(value % 10);
}

#[expect(clippy::cast_possible_truncation, reason = "a digit")]
const fn digit(value: u64) -> u8 {
    b'0' + value as u8
}

#[expect(clippy::cast_possible_truncation, reason = "less than 12")]
const fn index(value: u64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// The same time for the library.
    fn system_time(time: Timestamp) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(time.seconds())
    }

    #[test]
    fn all_three_formats_are_the_same_time() {
        let expected = Some(Timestamp::from_seconds(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "sUN, 06 nOV 1994 08:49:37 gMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Wednesday, 06-Nov-94 08:49:37 GMT",
            "Tue Nov  6 08:49:37 1994",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "now",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Mond, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GM\xff"), None);
    }

    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for seconds in (0..MAX_SECONDS).step_by(7_654_321).chain([0, 951_782_400, 951_868_799, MAX_SECONDS]) {
            let time = Timestamp::from_seconds(seconds);
            assert_eq!(String::from_utf8_lossy(&format(time)), httpdate::fmt_http_date(system_time(time)));
        }
    }
    proptest! {
        #[test]
        fn any_bytes_are_a_date_or_none(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&text);
        }

        #[test]
        fn what_looks_like_a_date_never_panics(text in "(Sun|Sunday), ?[0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn dates_read_back_as_written(seconds in 0..=MAX_SECONDS) {
            let time = Timestamp::from_seconds(seconds);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }

        #[test]
        fn every_time_can_be_written(milliseconds in any::<u64>()) {
            let _ = format(Timestamp(milliseconds));
        }
    }
}
