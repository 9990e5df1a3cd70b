//! Numbers, as options take them and sentences have them.

use std::ops::RangeInclusive;

/// The most clients and messages of a demo. More would neither fit a page nor be readable.
pub(crate) const CLIENTS_MAX: usize = 20;
/// See [`CLIENTS_MAX`].
pub(crate) const MESSAGES_MAX: usize = 100;

/// `1 client`, `2 clients`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A parser for a number within `range`.
pub(crate) fn within(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_range() {
        let clients = within(1..=3);
        assert_eq!((clients("1"), clients("3")), (Ok(1), Ok(3)));
        for wrong in ["0", "4", "-1", "x", ""] {
            assert!(clients(wrong).is_err(), "{wrong:?} is not from 1 to 3");
        }
    }
}
