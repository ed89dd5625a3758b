//! A distribution's `Strict-Transport-Security`.

use super::checks;
use crate::error::{SnapshotError, wrong};
use crate::hsts::Hsts;
use crate::schema::HstsText;

pub(super) fn compile(place: &str, text: HstsText) -> Result<Hsts, SnapshotError> {
    let max_age = checks::duration(&format!("{place}.max_age_seconds"), text.max_age_seconds)?;
    if text.preload && (max_age.as_secs() < PRELOAD_SECONDS || !text.include_subdomains) {
        let right = "at least a year and all subdomains";
        return wrong(&format!("{place}.preload"), format!("lists of browsers take {right}, or nothing"));
    }
    Ok(Hsts::new(max_age, text.include_subdomains, text.preload))
}

/// What the list that browsers share asks for (hstspreload.org).
const PRELOAD_SECONDS: u64 = 365 * 24 * 60 * 60;
