//! The arithmetic of an invoice: integers of minor units in, integers of minor units out, nothing rounded twice.
//!
//! The rule, for each line by itself: `gross = qty × unit_price`, rounded half up to the minor unit; `net = gross − discount`;
//! `tax = net × tax_rate`, rounded half up; `total = net + tax`. The invoice's sums are the sums of its lines, so what is printed adds up.

use loopd_types::{Problem, Result};

/// Digits after the point of a quantity.
pub const QTY_SCALE: u32 = 4;
/// A quantity of one, as it is stored.
const QTY_ONE: i128 = 10_000;
/// 100 %, as a percentage is stored (four digits after the point).
pub const WHOLE: i64 = 1_000_000;
/// The largest amount of one line or payment, in minor units. 500 such lines with their tax still fit 64 bits.
pub const MOST_MINOR: i64 = 1_000_000_000_000_000;

/// What follows from one line; all in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTotals {
    /// Before discount and tax.
    pub gross: i64,
    pub tax: i64,
    /// What the customer pays for the line.
    pub total: i64,
}

/// Computes one line. `qty` is scaled by 10^[`QTY_SCALE`], `rate` is a stored percentage, the rest are minor units.
///
/// # Errors
/// 400 on the figure that is negative or too large, or on a discount that exceeds what it is taken from.
pub fn line(qty: i64, unit_price: i64, rate: i64, discount: i64) -> Result<LineTotals> {
    for (figure, name) in [(qty, "qty"), (unit_price, "unit_price"), (rate, "tax_rate"), (discount, "discount")] {
        if figure < 0 {
            return Err(Problem::field(name, "min_value", "Ensure this value is greater than or equal to 0."));
        }
    }
    if unit_price > MOST_MINOR {
        return Err(Problem::field("unit_price", "max_value", "The price is too large."));
    }
    if rate > WHOLE {
        return Err(Problem::field("tax_rate", "max_value", "Ensure this value is less than or equal to 100."));
    }
    let gross = half_up(i128::from(qty) * i128::from(unit_price), QTY_ONE);
    if gross > i128::from(MOST_MINOR) {
        return Err(Problem::field("qty", "max_value", "Quantity times price is too large."));
    }
    let gross = i64::try_from(gross).unwrap_or(MOST_MINOR);
    if discount > gross {
        return Err(Problem::field("discount", "max_value", "The discount is larger than the amount of the line."));
    }
    let net = gross - discount;
    let tax = share(net, rate, WHOLE);
    Ok(LineTotals { gross, tax, total: net + tax })
}

/// `amount × part ÷ whole`, rounded half up. Nothing of nothing is nothing.
///
/// With `0 ≤ part ≤ whole` the answer lies within `0..=amount`, so it cannot overflow.
pub fn share(amount: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    i64::try_from(half_up(i128::from(amount) * i128::from(part), i128::from(whole))).unwrap_or(i64::MAX)
}

/// Rounds `numerator ÷ denominator` to the nearest integer, the half upwards. Both are not negative.
fn half_up(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    whole + i128::from(rest * 2 >= denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_rounded_half_up_and_taxed_after_its_discount() {
        // 3 × 333.33 at 18 %, 100 off: 999.99 − 100 = 899.99, tax 161.9982
        let totals = line(30_000, 33_333, 180_000, 10_000).unwrap();
        assert_eq!(totals, LineTotals { gross: 99_999, tax: 16_200, total: 106_199 });
        // half a franc is a franc: 0.5 × 5 = 2.5
        assert_eq!(line(5_000, 5, 0, 0).unwrap().gross, 3);
        assert_eq!(line(4_999, 5, 0, 0).unwrap().gross, 2);
        // 2.5 % of 20 is a half
        assert_eq!(line(10_000, 20, 25_000, 0).unwrap().tax, 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (qty, price, rate, discount) in [
            (-1, 1, 0, 0),
            (1, -1, 0, 0),
            (10_000, 1, -1, 0),
            (10_000, 1, 0, -1),
            (10_000, 100, 0, 101),
            (10_000, MOST_MINOR + 1, 0, 0),
            (i64::MAX, MOST_MINOR, 0, 0),
            (10_000, 100, WHOLE + 1, 0),
        ] {
            assert_eq!(line(qty, price, rate, discount).unwrap_err().status(), 400);
        }
    }

    #[test]
    fn shares_add_up_when_taken_cumulatively() {
        let (tax, total) = (16_200, 106_199);
        let (mut taken, mut credited) = (0, 0);
        for part in [1, 333, 50_000, 55_865] {
            credited += part;
            let upto = share(tax, credited, total);
            taken += upto - taken;
        }
        assert_eq!((credited, taken), (total, tax));
    }
}
