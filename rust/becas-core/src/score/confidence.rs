//! A confidence in ten-thousandths.

use std::io::Write as _;

/// The shortest decimal form of a confidence from 0 to 1, rounded half up to four places, in 1/10,000.
///
/// Rounded as the digits read, not as the double's exact value: .00005 is a little less than that in binary, and is 1.
/// What is not from 0 to 1 counts as the nearer end, and what is no number as 0; validation refuses both.
pub fn ten_thousandths(confidence: f64) -> u32 {
    let clamped = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
    // Rust prints no exponent, and at most 326 digits after the point.
    let mut buffer = [0_u8; 340];
    let mut rest = &mut buffer[..];
    if write!(rest, "{}", clamped.abs()).is_err() {
        return 0;
    }
    let length = 340 - rest.len();
    let text = &buffer[..length];
    let mut digits = text
        .iter()
        .position(|byte| *byte == b'.')
        .map_or(&[][..], |point| &text[point + 1..])
        .iter();
    let mut digit = || digits.next().map_or(0, |byte| u32::from(byte - b'0'));
    let whole = u32::from(text[0] - b'0');
    let four = (0..4).fold(whole, |value, _| value * 10 + digit());
    four + u32::from(digit() >= 5)
}

#[cfg(test)]
mod tests {
    use super::ten_thousandths;

    /// Expected values by hand, from the digits.
    #[test]
    fn confidences_are_rounded_half_up_as_they_read() {
        for (confidence, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (1.0, 10_000),
            (0.5, 5_000),
            (0.8621, 8_621),
            (0.86214, 8_621),
            (0.86215, 8_622),
            (0.862_149_999, 8_621),
            // In binary a little below the half, as it reads exactly the half.
            (0.000_05, 1),
            (0.000_049_999_999, 0),
            (0.999_95, 10_000),
            (0.999_949_999_999_999_9, 9_999),
            (1e-4, 1),
            (1e-5, 0),
            (5e-324, 0),
            (1.0 - 1e-16, 10_000),
            (0.1 + 0.2, 3_000),
            (f64::NAN, 0),
            (f64::INFINITY, 10_000),
            (-3.0, 0),
        ] {
            assert_eq!(expected, ten_thousandths(confidence), "{confidence:e}");
        }
    }
}
