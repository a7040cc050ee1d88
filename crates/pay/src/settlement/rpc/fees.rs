//! What a transaction is offered for: pure.

use super::transaction::Fees;

/// What a node says that a block takes now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Market {
    pub base: u128,
    pub priority: u128,
}

/// An offer that stands while the base fee doubles, never above `most`; `None` when not even the next block would take that.
pub fn offer(market: Market, most: u128) -> Option<Fees> {
    let least = market.base.saturating_add(market.priority);
    let wanted = market.base.saturating_mul(2).saturating_add(market.priority);
    (least <= most).then(|| Fees { max: wanted.min(most), priority: market.priority.min(most) })
}

/// A higher offer in place of `before`: an eighth more of both at least, which every node takes for a replacement, and no less than the
/// market wants. `None` when that would be above `most`.
pub fn raise(before: Fees, market: Market, most: u128) -> Option<Fees> {
    let more = |fee: u128| fee.saturating_add(fee.div_ceil(8)).saturating_add(1);
    let wanted = market.base.saturating_mul(2).saturating_add(market.priority);
    let fees = Fees {
        max: more(before.max).max(wanted.min(most)),
        priority: more(before.priority).max(market.priority.min(most)),
    };
    let fees = Fees { max: fees.max.max(fees.priority), ..fees };
    (fees.max <= most).then_some(fees)
}

/// Gas to allow for a call that a node found to take so much: what is stored for the first time by another's transaction costs more.
pub const fn gas_for(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 4).saturating_add(10_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u128 = 50_000_000_000;

    proptest! {
        #[test]
        fn no_offer_is_above_what_the_operator_allows(base in 0..2 * MOST, priority in 0..2 * MOST) {
            let market = Market { base, priority };
            match offer(market, MOST) {
                None => prop_assert!(base + priority > MOST),
                Some(fees) => prop_assert!(fees.max <= MOST && fees.priority <= fees.max && fees.max >= base + priority),
            }
        }

        #[test]
        fn offers_rise_by_what_nodes_want_until_there_is_no_more(base in 0..MOST, priority in 0..MOST / 10) {
            let market = Market { base, priority };
            let Some(mut fees) = offer(market, MOST) else { return Ok(()) };
            let mut rounds = 0;
            while let Some(next) = raise(fees, market, MOST) {
                prop_assert!(next.max <= MOST && next.priority <= next.max);
                prop_assert!(next.max * 10 >= fees.max * 11 && next.priority * 10 >= fees.priority * 11);
                fees = next;
                rounds += 1;
                prop_assert!(rounds < 300);
            }
        }
    }
}
