//! [`Terms`]: what an edition of a plan costs and gives; read from a body, kept as it was sold.

use loopd_store::{Row, StoreError};
use loopd_types::{Currency, Problem, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::billing::amount::{Tier, TierMode};
use crate::billing::calendar::Interval;

/// What one period costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub interval: Interval,
    pub currency: String,
    pub amount_minor: i64,
    /// For each seat beyond those that are included.
    #[serde(default)]
    pub seat_minor: i64,
}

/// What a meter's units cost and where they end, in a calendar month.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metered {
    /// The meter's code.
    pub meter: String,
    /// Units that cost nothing.
    #[serde(default)]
    pub included: i64,
    /// The company is told when it reaches this.
    #[serde(default)]
    pub soft_limit: Option<i64>,
    /// What the meter guards is refused from here on.
    #[serde(default)]
    pub hard_limit: Option<i64>,
    #[serde(default)]
    pub mode: TierMode,
    /// The currency of the tiers; empty when they cost nothing.
    #[serde(default)]
    pub currency: String,
    /// For the units beyond the included ones.
    #[serde(default)]
    pub tiers: Vec<Tier>,
}

/// One edition of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    pub prices: Vec<Price>,
    pub included_seats: i64,
    pub trial_days: i64,
    pub limits: Map<String, Json>,
    pub features: Vec<String>,
    pub metered: Vec<Metered>,
}

/// No price or quantity that anybody means is larger; far below where sums of bills overflow.
const MOST: i64 = 1_000_000_000_000;

impl Terms {
    pub(super) const SQL: &'static str = "e.prices, e.included_seats, e.trial_days, e.limits, e.features, e.metered";

    /// From the columns of [`Terms::SQL`], the first of which is at `at`.
    pub(super) fn of_row(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        Ok(Self {
            prices: stored(row.json(at)?)?,
            included_seats: row.i64(at + 1)?,
            trial_days: row.i64(at + 2)?,
            limits: stored(row.json(at + 3)?)?,
            features: stored(row.json(at + 4)?)?,
            metered: stored(row.json(at + 5)?)?,
        })
    }

    /// Whether further seats have a price.
    pub fn sells_seats(&self) -> bool {
        self.prices.iter().any(|price| price.seat_minor > 0)
    }

    pub fn price(&self, interval: Interval, currency: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.interval == interval && price.currency == currency)
    }

    /// What is not as it must be, on the field where it stands.
    pub(super) fn check(&self, meters: &[String]) -> Problem {
        let mut problem = Problem::validation();
        let mut refuse = |field: &str, code: &'static str, words: String| problem.add_field(field, code, words);
        if self.prices.is_empty() {
            refuse("prices", "required", "At least one price; what costs nothing has the price 0.".to_owned());
        }
        for (at, price) in self.prices.iter().enumerate() {
            if Currency::parse(&price.currency).is_none() {
                refuse("prices", "invalid_choice", format!("\"{}\" is not a currency.", price.currency));
            }
            if !(0..=MOST).contains(&price.amount_minor) || !(0..=MOST).contains(&price.seat_minor) {
                refuse("prices", "min_value", format!("Amounts lie between 0 and {MOST}."));
            }
            if self.prices[..at]
                .iter()
                .any(|other| (other.interval, &other.currency) == (price.interval, &price.currency))
            {
                refuse("prices", "unique", "One price for each interval and currency.".to_owned());
            }
        }
        for (name, value) in &self.limits {
            let is_number = value.is_null() || value.as_i64().is_some_and(|number| number >= 0);
            if !super::Limits::NAMES.contains(&name.as_str()) {
                refuse("limits", "invalid_choice", format!("\"{name}\" is not a limit."));
            } else if !is_number {
                refuse("limits", "invalid", format!("\"{name}\" is a whole number, or null for no limit."));
            }
        }
        for metered in &self.metered {
            if let Err(words) = check_metered(metered, meters) {
                refuse("metered", "invalid", format!("{}: {words}", metered.meter));
            }
        }
        if self
            .metered
            .iter()
            .enumerate()
            .any(|(at, one)| self.metered[..at].iter().any(|other| other.meter == one.meter))
        {
            refuse("metered", "unique", "Each meter once.".to_owned());
        }
        problem
    }
}

fn check_metered(metered: &Metered, meters: &[String]) -> Result<(), String> {
    if !meters.contains(&metered.meter) {
        return Err("there is no such meter".to_owned());
    }
    let numbers = [Some(metered.included), metered.soft_limit, metered.hard_limit];
    if numbers.into_iter().flatten().any(|number| !(0..=MOST).contains(&number)) {
        return Err(format!("quantities lie between 0 and {MOST}"));
    }
    if metered.tiers.is_empty() {
        return Ok(());
    }
    if Currency::parse(&metered.currency).is_none() {
        return Err("tiers need a currency".to_owned());
    }
    let mut below = 0;
    for (at, tier) in metered.tiers.iter().enumerate() {
        let is_last = at + 1 == metered.tiers.len();
        match tier.up_to {
            None if is_last => {}
            None => return Err("only the last tier is open".to_owned()),
            Some(_) if is_last => return Err("the last tier is open: it has no `up_to`".to_owned()),
            Some(up_to) if up_to <= below || up_to > MOST => return Err("tiers rise".to_owned()),
            Some(up_to) => below = up_to,
        }
        if !(0..=MOST).contains(&tier.amount_minor)
            || !(0..=MOST).contains(&tier.flat_minor)
            || !(1..=MOST).contains(&tier.per)
        {
            return Err(format!("amounts lie between 0 and {MOST}, `per` is at least 1"));
        }
    }
    Ok(())
}

/// What this server wrote itself.
fn stored<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Other(format!("a plan's terms cannot be read: {error}")))
}
