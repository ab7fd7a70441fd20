//! Kubernetes quantities (`500m`, `1.5Gi`, `1e3`) as exact fixed-point numbers.
//!
//! A quantity has at most three decimal places and is at most 2^63 − 1 in magnitude; what is finer is rounded
//! away from zero and what is larger is capped (apimachinery `pkg/api/resource/quantity.go`).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const MILLI: i128 = 1000;
const LIMIT: i128 = (i64::MAX as i128) * MILLI;
/// Fraction digits of a binary quantity that take part in the exact calculation; with `Ei` the product still
/// fits 128 bits. Further digits only round up.
const BINARY_FRACTION_DIGITS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuantityError {
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
    #[error("unable to parse numeric part of quantity")]
    Number,
}

/// The family of suffixes a quantity was written with; it is written again with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

/// A parsed quantity. Equality and order look at the number only, not at the way it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParsedQuantity {
    milli: i128,
    family: Family,
}

impl ParsedQuantity {
    pub(crate) const ZERO: Self = Self {
        milli: 0,
        family: Family::Decimal,
    };

    /// Reads the quantity of an API object; one that does not parse counts as zero (admission has refused it).
    pub(crate) fn of(quantity: &Quantity) -> Self {
        quantity.0.parse().unwrap_or(Self::ZERO)
    }

    /// The page size that a resource such as `hugepages-2Mi` names, bytes. `None`: it names none.
    pub(crate) fn huge_page(resource: &str) -> Option<u64> {
        let text = canonical(resource.strip_prefix("hugepages-")?).ok()?;
        let size = Self::of(&Quantity(text));
        let bytes = u64::try_from(size.value()).ok()?;
        (bytes > 0 && !size.is_fractional()).then_some(bytes)
    }

    /// An amount of memory or disk, written with binary suffixes.
    pub(crate) fn of_bytes(bytes: u64) -> Self {
        Self {
            milli: (i128::from(bytes) * MILLI).min(LIMIT),
            family: Family::Binary,
        }
    }

    #[cfg(test)]
    pub(crate) fn from_milli(milli: i64) -> Self {
        Self {
            milli: i128::from(milli),
            family: Family::Decimal,
        }
    }

    /// In whole units, rounded up.
    pub(crate) fn value(self) -> i64 {
        saturate(div_ceil(self.milli, MILLI))
    }

    /// In thousandths.
    pub(crate) fn milli_value(self) -> i64 {
        saturate(self.milli)
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.milli == 0
    }

    pub(crate) const fn is_negative(self) -> bool {
        self.milli < 0
    }

    /// True when the number is not a whole number of units.
    pub(crate) const fn is_fractional(self) -> bool {
        self.milli % MILLI != 0
    }

    /// The sum, in the family of the left side unless that is zero.
    pub(crate) fn add(self, other: Self) -> Self {
        let family = if self.is_zero() {
            other.family
        } else {
            self.family
        };
        Self {
            milli: (self.milli + other.milli).clamp(-LIMIT, LIMIT),
            family,
        }
    }
}

fn saturate(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { -i64::MAX } else { i64::MAX })
}

/// Rounds towards positive infinity, as `Quantity.Value` does.
fn div_ceil(number: i128, divisor: i128) -> i128 {
    let quotient = number.div_euclid(divisor);
    if number.rem_euclid(divisor) == 0 {
        quotient
    } else {
        quotient + 1
    }
}

impl PartialEq for ParsedQuantity {
    fn eq(&self, other: &Self) -> bool {
        self.milli == other.milli
    }
}

impl Eq for ParsedQuantity {}

impl PartialOrd for ParsedQuantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ParsedQuantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.milli.cmp(&other.milli)
    }
}

/// Canonical form of the text, e.g. `1.5Gi` → `1536Mi`.
pub(crate) fn canonical(text: &str) -> Result<String, QuantityError> {
    text.parse::<ParsedQuantity>()
        .map(|quantity| quantity.to_string())
}

/// The pieces of the text, cut the way the API server cuts them so that the same error comes out.
struct Pieces<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn cut(text: &str) -> Result<Pieces<'_>, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, rest) = split_while(rest, |byte| byte.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_while(rest, |byte| byte.is_ascii_digit()),
        None => ("", rest),
    };
    let suffix = rest;
    let (_, rest) = split_while(suffix, |byte| b"eEinumkKMGTP".contains(&byte));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let (_, rest) = split_while(rest, |byte| byte.is_ascii_digit());
    if !rest.is_empty() {
        return Err(QuantityError::Format);
    }
    Ok(Pieces {
        negative,
        whole,
        fraction,
        suffix,
    })
}

fn split_while(text: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !keep(byte))
        .unwrap_or(text.len());
    text.split_at(end)
}

#[derive(Clone, Copy)]
enum Scale {
    Ten(i32),
    /// Power of 1024.
    Kibi(u32),
}

fn scale(suffix: &str) -> Option<(Scale, Family)> {
    let decimal = |exponent| Some((Scale::Ten(exponent), Family::Decimal));
    let binary = |power| Some((Scale::Kibi(power), Family::Binary));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
            let exponent = exponent.clamp(-1000, 1000);
            let exponent = i32::try_from(exponent).ok()?;
            Some((Scale::Ten(exponent), Family::Exponent))
        }
    }
}

impl FromStr for ParsedQuantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let pieces = cut(text)?;
        let (scale, family) = scale(pieces.suffix).ok_or(QuantityError::Suffix)?;
        if pieces.whole.is_empty() && pieces.fraction.is_empty() {
            return Err(QuantityError::Number);
        }
        let magnitude = match scale {
            Scale::Ten(exponent) => decimal_milli(pieces.whole, pieces.fraction, exponent),
            Scale::Kibi(power) => binary_milli(pieces.whole, pieces.fraction, power),
        };
        let magnitude = magnitude.unwrap_or(LIMIT).min(LIMIT);
        let milli = if pieces.negative {
            -magnitude
        } else {
            magnitude
        };
        Ok(Self { milli, family })
    }
}

/// `None` when the number is far beyond the limit.
fn decimal_milli(whole: &str, fraction: &str, exponent: i32) -> Option<i128> {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let length = i64::try_from(digits.len()).ok()?;
    // The value is `digits` × 10^shift thousandths.
    let shift = i64::from(exponent) - i64::try_from(fraction.len()).ok()? + 3;
    if length + shift > 24 {
        return None;
    }
    if shift >= 0 {
        let shift = u32::try_from(shift).ok()?;
        return digits
            .parse::<i128>()
            .ok()?
            .checked_mul(10_i128.checked_pow(shift)?);
    }
    let kept = usize::try_from(length + shift).unwrap_or(0);
    let (kept, cut) = digits.split_at(kept);
    let kept: i128 = if kept.is_empty() {
        0
    } else {
        kept.parse().ok()?
    };
    Some(kept + i128::from(cut.bytes().any(|digit| digit != b'0')))
}

fn binary_milli(whole: &str, fraction: &str, power: u32) -> Option<i128> {
    let unit = 1024_i128.checked_pow(power)? * MILLI;
    let whole = whole.trim_start_matches('0');
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let exact = fraction.len().min(BINARY_FRACTION_DIGITS);
    let (exact, rest) = fraction.split_at(exact);
    let mut numerator: i128 = if exact.is_empty() {
        0
    } else {
        exact.parse().ok()?
    };
    numerator += i128::from(rest.bytes().any(|digit| digit != b'0'));
    let denominator = 10_i128.pow(u32::try_from(exact.len()).ok()?);
    let part = div_ceil(numerator.checked_mul(unit)?, denominator);
    whole.checked_mul(unit)?.checked_add(part)
}

impl fmt::Display for ParsedQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli == 0 {
            return f.write_str("0");
        }
        let whole = self.milli % MILLI == 0;
        let binary = self.family == Family::Binary && whole && self.milli.abs() >= 1024 * MILLI;
        if binary {
            let (mantissa, steps) = reduce(self.milli / MILLI, 1024, 6);
            let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][steps];
            return write!(f, "{mantissa}{suffix}");
        }
        let (mantissa, steps) = reduce(self.milli, 1000, 7);
        if self.family == Family::Exponent {
            let exponent = [-3, 0, 3, 6, 9, 12, 15, 18][steps];
            return if exponent == 0 {
                write!(f, "{mantissa}")
            } else {
                write!(f, "{mantissa}e{exponent}")
            };
        }
        let suffix = ["m", "", "k", "M", "G", "T", "P", "E"][steps];
        write!(f, "{mantissa}{suffix}")
    }
}

fn reduce(mut mantissa: i128, base: i128, most: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < most && mantissa % base == 0 {
        mantissa /= base;
        steps += 1;
    }
    (mantissa, steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let actual = match canonical(text) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(actual, expected, "canonical form of {text:?}");
    }

    #[test]
    fn canonical_forms() {
        check("1.5", "1500m");
        check("1.5Gi", "1536Mi");
        check("1024Mi", "1Gi");
        check("0.1m", "1m");
        check("1000m", "1");
        check("1e3", "1e3");
        check("1E3", "1e3");
        check("12e2", "1200");
        check("1e-3", "1e-3");
        check("1024", "1024");
        check("1E", "1E");
        check(".5", "500m");
        check("5.", "5");
        check("+1", "1");
        check("-1.5", "-1500m");
        check("0Ki", "0");
        check("0.5Ki", "512");
        check("100n", "1m");
        check("123456Ki", "123456Ki");
        check("9223372036854775808", "9223372036854775807");
        check("100000E", "9223372036854775807");
        check("-9e99", "-9223372036854775807");
        check("1e-999", "1e-3");
        check("16Ei", "9223372036854775807");
        check("000000000000000000000000000000000000000000001", "1");
    }

    #[test]
    fn errors() {
        let format = "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        let suffix = "error: unable to parse quantity's suffix";
        let number = "error: unable to parse numeric part of quantity";
        for text in ["", "abc", "1.2.3", "1KB", " 1", "1 ", "1Gi ", "1GB", "1,5"] {
            check(text, format);
        }
        for text in ["1K", "1mm", "1e", "1ki", "1i", "1Mi5"] {
            check(text, suffix);
        }
        for text in ["Mi", "-", ".", "m"] {
            check(text, number);
        }
    }

    #[test]
    fn values() {
        let read = |text: &str| text.parse::<ParsedQuantity>().unwrap();
        assert_eq!(read("1500m").value(), 2);
        assert_eq!(read("-1500m").value(), -1);
        assert_eq!(read("250m").milli_value(), 250);
        assert_eq!(read("1Gi").value(), 1 << 30);
        assert_eq!(read("1Gi"), read("1024Mi"));
        assert!(read("1G") < read("1Gi"));
        assert_eq!(read("500m").add(read("0.5")).to_string(), "1");
        assert_eq!(ParsedQuantity::ZERO.add(read("512Mi")).to_string(), "512Mi");
        assert!(read("100m").is_fractional());
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point_of_its_format_and_keeps_the_number(
            whole in 0u64..1_000_000_000_000, fraction in "[0-9]{0,5}", suffix in "(m||k|M|G|Ki|Mi|Gi|e3|e-2|E5)", negative: bool
        ) {
            let sign = if negative { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}{suffix}");
            let first: ParsedQuantity = text.parse().unwrap();
            let printed = first.to_string();
            let second: ParsedQuantity = printed.parse().unwrap();
            prop_assert_eq!(first, second);
            // A binary number that 1024 does not divide is printed without a suffix, and plain digits are read as
            // a decimal number, whose canonical form may have one (apimachinery's CanonicalizeBytes does so too).
            let lost_its_format = suffix.ends_with('i') && printed.ends_with(|last: char| last.is_ascii_digit());
            if !lost_its_format {
                prop_assert_eq!(second.to_string(), printed);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            let _ = text.parse::<ParsedQuantity>();
        }

        #[test]
        fn order_is_the_order_of_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
            let (left, right) = (ParsedQuantity::from_milli(a), ParsedQuantity::from_milli(b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left.add(right).milli_value(), a + b);
        }
    }
}
