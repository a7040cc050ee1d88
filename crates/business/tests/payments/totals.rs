//! Totals against a model of their own: exact fractions, rounded once for each line and once for its tax.

use loopd_testkit::{each_engine, json};
use serde_json::Value as Json;

use crate::support::{Dice, World, minor};

/// `numerator / denominator`, rounded to the nearest whole, the half upwards: the floor of what is half more.
fn rounded(numerator: i128, denominator: i128) -> i128 {
    (numerator * 2 + denominator).div_euclid(denominator * 2)
}

/// `digits` with the point before the last `scale` of them.
fn decimal(value: i128, scale: usize) -> String {
    let digits = format!("{value:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

each_engine! {
    async fn a_currency_that_is_none_is_refused_wherever_it_stands(world: &World) {
        let lines = json!([{"description": "x", "qty": "1", "unit_price": "10"}]);
        for (body, field) in [
            (json!({"title": "x", "data": {"amount": 25000, "currency": "EURO"}}), "data.currency"),
            (json!({"title": "x", "data": {"amount": "abc"}}), "data.amount"),
            (json!({"title": "x", "currency": "EURO"}), "currency"),
            (json!({"title": "x", "currency": "EURO", "lines": lines}), "currency"),
        ] {
            let refused = world.owner.post("/api/v1/payments/invoices/").json(&body).await.expect_status(400).json();
            assert!(refused["error"]["details"].get(field).is_some(), "{body}: {refused}");
        }
    }

    async fn totals_are_those_of_exact_fractions(world: &World) {
        let seed = u64::from(std::process::id());
        let dice = Dice::new(seed);
        for (currency, digits) in [("RWF", 0), ("USD", 2), ("KWD", 3)].into_iter().cycle().take(45) {
            let (mut lines, mut subtotal, mut discounts, mut taxes, mut total) = (Vec::new(), 0i128, 0i128, 0i128, 0i128);
            for _ in 0..=dice.below(6) {
                let qty = i128::from(dice.below(*dice.one(&[10, 100_000, 50_000_000])));
                let price = i128::from(dice.below(*dice.one(&[10, 1_000, 10_000_000])));
                let rate = i128::from(dice.below(*dice.one(&[2, 1_000_001])));
                let gross = rounded(qty * price, 10_000);
                let discount = i128::from(dice.below(u64::try_from(gross).unwrap() + 1)) * i128::from(dice.below(2));
                let tax = rounded((gross - discount) * rate, 1_000_000);
                subtotal += gross;
                discounts += discount;
                taxes += tax;
                total += gross - discount + tax;
                lines.push(json!({
                    "description": "Thing", "qty": decimal(qty, 4), "unit_price": decimal(price, digits),
                    "tax_rate": decimal(rate, 4), "discount": decimal(discount, digits),
                    // what a client thinks is not asked
                    "total": "1", "tax_amount": "1",
                }));
            }
            let body = json!({"title": "Invoice", "currency": currency, "lines": lines, "total": "7", "subtotal": "7", "amount_due": "7"});
            let invoice = world.post("invoices", body.clone()).await.expect_status(201).json();
            for (field, wanted) in [("subtotal", subtotal), ("discount_total", discounts), ("tax_total", taxes), ("total", total), ("amount_due", total)] {
                assert_eq!(invoice[field], decimal(wanted, digits), "seed {seed}, {field} of {body:#}");
            }
            let sum = |field: &str| invoice["lines"].as_array().unwrap().iter().map(|line| i128::from(minor(&line[field]))).sum::<i128>();
            assert_eq!((sum("subtotal"), sum("tax_amount"), sum("total")), (subtotal, taxes, total));
        }
    }

    async fn nonsense_in_lines_is_refused(world: &World) {
        let with = |line: Json| json!({"title": "Invoice", "lines": [{"unit_price": "5"}, line]});
        for (line, field, code) in [
            (json!({"unit_price": "-1"}), "lines.1.unit_price", "min_value"),
            (json!({"unit_price": "10", "qty": "-1"}), "lines.1.qty", "min_value"),
            (json!({"unit_price": "10", "discount": "-1"}), "lines.1.discount", "min_value"),
            (json!({"unit_price": "10", "discount": "11"}), "lines.1.discount", "max_value"),
            (json!({"unit_price": "10", "tax_rate": "-1"}), "lines.1.tax_rate", "min_value"),
            (json!({"unit_price": "10", "tax_rate": "101"}), "lines.1.tax_rate", "max_value"),
            (json!({"unit_price": "9000000000000000000"}), "lines.1.unit_price", "max_value"),
            (json!({"unit_price": "1000000000000000", "qty": "900000"}), "lines.1.qty", "max_value"),
            (json!({"qty": "1"}), "lines.1.unit_price", "required"),
        ] {
            world.post("invoices", with(line)).await.expect_field(field, code);
        }
        // a franc has no cents
        world.post("invoices", with(json!({"unit_price": "10.5"}))).await.expect_refusal(400, "validation_error");
        world.post("invoices", json!({"title": "Invoice", "amount": -5})).await.expect_field("amount", "min_value");
    }

    async fn a_line_takes_over_the_percentage_of_its_tax_rate(world: &World) {
        let vat = world.make("tax-rates", json!({"name": "VAT", "rate": "18"})).await;
        let body = json!({"title": "Invoice", "lines": [
            {"unit_price": "1000", "tax": vat}, {"unit_price": "1000", "tax": vat, "tax_rate": "0"}, {"unit_price": "1000"}]});
        let invoice = world.post("invoices", body).await.expect_status(201).json();
        assert_eq!(invoice["lines"][0]["tax_rate"], "18");
        assert_eq!((&invoice["tax_total"], &invoice["total"]), (&json!("180"), &json!("3180")));
    }
}
