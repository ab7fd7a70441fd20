/// Decimal units with three significant digits, as image listings have it.
pub(crate) fn size_text(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return match () {
                () if unit == "B" || value >= 100.0 => format!("{value:.0}{unit}"),
                () if value >= 10.0 => format!("{value:.1}{unit}"),
                () => format!("{value:.2}{unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.2}TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let check = |bytes: u64, text: &str| assert_eq!(size_text(bytes), text);
        check(0, "0B");
        check(999, "999B");
        check(1_500, "1.50kB");
        check(12_345_678, "12.3MB");
        check(3_000_000_000, "3.00GB");
    }
}
