//! Medians and how numbers are written: pure.

use std::fmt::Write;

/// The middle value; of an even count the mean of the two in the middle. Nothing of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Three digits that count, and never an exponent.
pub(crate) fn three_digits(value: f64) -> String {
    let whole = value.abs();
    if whole >= 1000.0 {
        return grouped(value.round());
    }
    let decimals = match whole {
        _ if whole >= 100.0 => 0,
        _ if whole >= 10.0 => 1,
        _ if whole >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A whole number with commas between thousands.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        let _ = write!(text, "{digit}");
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn numbers_are_short_and_plain() {
        assert_eq!(three_digits(0.0123), "0.012");
        assert_eq!(three_digits(5.4567), "5.46");
        assert_eq!(three_digits(54.567), "54.6");
        assert_eq!(three_digits(545.67), "546");
        assert_eq!(three_digits(1_234_567.8), "1,234,568");
        assert_eq!(grouped(-1000.0), "-1,000");
        assert_eq!(grouped(999.0), "999");
    }
}
