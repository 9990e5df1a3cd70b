//! The values of options: parsers for clap.

use std::time::Duration;

use handshake_core::course::{HandshakeSteps, RECORD_MAX};
use handshake_core::wait::spin::WaitMode;

/// Parses a duration: a number with ms, s, m or h; a bare 0 means none.
///
/// # Errors
/// A message that says which form is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    UNITS
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .filter(|(number, _)| number.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(|(number, seconds)| Some(number.parse::<f64>().ok()? * seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| *duration <= Duration::from_secs(100 * 365 * 86_400))
        .ok_or_else(|| "a duration is a number with ms, s, m or h: 300ms, 5s; 0 is none".into())
}

/// Parses a number of bytes, perhaps with K, M or G (of 1,024).
///
/// # Errors
/// A message that says which form is expected.
pub fn size(text: &str) -> Result<usize, String> {
    let shifts = [("K", 10), ("M", 20), ("G", 30)];
    let (number, shift) = shifts
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .unwrap_or((text, 0));
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a size is a number of bytes, perhaps with K, M or G: 4096, 16M".into())
}

/// Parses a number of at least 1.
///
/// # Errors
/// A message that says which form is expected.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("a whole number of at least 1".into()),
    }
}

/// Parses the size of a record in the course dialect.
///
/// # Errors
/// A message that says which sizes are allowed.
pub(crate) fn record_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=RECORD_MAX).contains(&number) => Ok(number),
        _ => Err(format!("a number of bytes from 1 to {RECORD_MAX}, since one read takes it")),
    }
}

/// Parses how a process waits.
///
/// # Errors
/// A message that names the ways.
pub fn wait_mode(text: &str) -> Result<WaitMode, &'static str> {
    match text {
        "adaptive" => Ok(WaitMode::Adaptive),
        "block" => Ok(WaitMode::Block),
        _ => Err("one of adaptive, block"),
    }
}

/// Parses how many steps the handshake with a course program has.
///
/// # Errors
/// A message that names the values.
pub fn handshake_steps(text: &str) -> Result<HandshakeSteps, &'static str> {
    match text {
        "2" => Ok(HandshakeSteps::Two),
        "3" => Ok(HandshakeSteps::Three),
        "auto" => Ok(HandshakeSteps::Auto),
        _ => Err("one of 2, 3, auto"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_the_help_says() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "-1s", "5 s", "infs", "nans", "1e30h", "5d"] {
            assert!(duration(wrong).is_err(), "{wrong:?} is no duration");
        }
    }

    #[test]
    fn sizes_are_what_the_help_says() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("16M"), Ok(16 << 20));
        for wrong in ["", "M", "-1", "1.5M", "99999999999G", "16m"] {
            assert!(size(wrong).is_err(), "{wrong:?} is no size");
        }
    }

    #[test]
    fn handshake_steps_are_what_the_help_says() {
        let (two, three, auto) = (HandshakeSteps::Two, HandshakeSteps::Three, HandshakeSteps::Auto);
        assert_eq!(["2", "3", "auto"].map(handshake_steps), [Ok(two), Ok(three), Ok(auto)]);
        for wrong in ["", "1", "4", "two", "Auto", "2 "] {
            assert!(handshake_steps(wrong).is_err(), "{wrong:?} is no number of steps");
        }
    }
}
