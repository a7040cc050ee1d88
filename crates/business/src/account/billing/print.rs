//! A bill on paper. Everything that is drawn stands in the bill itself, so that the same bill is the same bytes every time.

use loopd_types::{Currency, render_decimal};
use serde_json::Value;

use super::pdf::{Colour, Face, Pdf, WIDTH, width, wrap};

const INK: Colour = (0.10, 0.11, 0.14);
const SOFT: Colour = (0.42, 0.45, 0.50);
const RULE: Colour = (0.86, 0.87, 0.89);
const ACCENT: Colour = (0.05, 0.36, 0.39);
const LEFT: f32 = 56.0;
const RIGHT: f32 = WIDTH - 56.0;
/// Right ends of the columns of numbers.
const QUANTITY: f32 = 340.0;
const UNIT: f32 = 410.0;
const TAX: f32 = 462.0;
/// Nothing is drawn below, but for the foot.
const BOTTOM: f32 = 770.0;

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_default()
}

/// `1 234 567.50`, with thin groups that cannot be read as another number.
fn amount(minor: i64, currency: Currency) -> String {
    let plain = render_decimal(minor, currency.exponent());
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    rest.map_or(format!("{sign}{grouped}"), |rest| format!("{sign}{grouped}.{rest}"))
}

/// `18 %`, `8.875 %`
fn percent(ppm: i64) -> String {
    let plain = render_decimal(ppm, 4);
    format!("{} %", plain.trim_end_matches('0').trim_end_matches('.'))
}

struct Page<'b> {
    pdf: Pdf,
    y: f32,
    bill: &'b Value,
    currency: Currency,
}

/// The bill as PDF; `None` when its currency cannot be read.
pub fn render(bill: &Value) -> Option<Vec<u8>> {
    let currency = Currency::parse(text(bill, "currency"))?;
    let title = format!("{} {}", what(bill), text(bill, "number"));
    let mut page = Page { pdf: Pdf::new(&title), y: 64.0, bill, currency };
    page.head();
    page.parties();
    page.table();
    page.totals();
    page.foot();
    Some(page.pdf.finish())
}

fn what(bill: &Value) -> &'static str {
    match (text(bill, "kind"), text(bill, "status")) {
        ("credit_note", _) => "Credit note",
        (_, "draft") => "Draft invoice",
        _ => "Invoice",
    }
}

impl Page<'_> {
    fn say(&mut self, x: f32, face: Face, size: f32, colour: Colour, words: &str) {
        let y = self.y;
        self.pdf.text((x, y), face, size, colour, words);
    }
    fn say_right(&mut self, x: f32, face: Face, size: f32, colour: Colour, words: &str) {
        let y = self.y;
        self.pdf.text_right((x, y), face, size, colour, words);
    }
    fn rule(&mut self, colour: Colour, thickness: f32) {
        let y = self.y;
        self.pdf.fill((LEFT, y), (RIGHT - LEFT, thickness), colour);
    }

    fn head(&mut self) {
        self.pdf.fill((0.0, 0.0), (WIDTH, 6.0), ACCENT);
        let bill = self.bill;
        let room = 260.0;
        let seller = text(&bill["seller"], "name");
        let seller = wrap(if seller.is_empty() { "LOOP" } else { seller }, Face::Bold, 16.0, room);
        self.say_right(RIGHT, Face::Bold, 20.0, ACCENT, what(bill));
        for line in &seller {
            self.say(LEFT, Face::Bold, 16.0, INK, line);
            self.y += 20.0;
        }
        self.y = self.y.max(92.0);
        let day = |name: &str| text(bill, name).get(..10).unwrap_or("-").to_owned();
        let rows = [
            ("Number", if text(bill, "number").is_empty() { "-".to_owned() } else { text(bill, "number").to_owned() }),
            ("Date", day("opened_at")),
            ("Due", day("due_at")),
            ("Status", text(bill, "status").replace('_', " ")),
        ];
        let top = self.y;
        for (label, value) in rows.iter().filter(|(label, value)| *label != "Due" || value != "-") {
            self.say(RIGHT - 150.0, Face::Plain, 9.0, SOFT, label);
            self.say_right(RIGHT, Face::Bold, 9.0, INK, value);
            self.y += 15.0;
        }
        self.y = top;
    }

    fn parties(&mut self) {
        let top = self.y;
        let seller = self.bill["seller"].clone();
        self.party(LEFT, "From", &seller);
        self.y = (self.y + 16.0).max(top + 78.0);
        let customer = self.bill["customer"].clone();
        self.party(LEFT, "To", &customer);
        self.y += 22.0;
    }

    fn party(&mut self, x: f32, label: &str, party: &Value) {
        self.say(x, Face::Plain, 8.0, SOFT, &label.to_uppercase());
        self.y += 13.0;
        let tax_id = text(party, "tax_id");
        let numbered = if tax_id.is_empty() { String::new() } else { format!("Tax number {tax_id}") };
        let country = text(party, "country");
        for (face, words) in [
            (Face::Bold, text(party, "name")),
            (Face::Plain, text(party, "address")),
            (Face::Plain, country),
            (Face::Plain, numbered.as_str()),
            (Face::Plain, text(party, "email")),
        ] {
            for line in words.lines().flat_map(|line| wrap(line, face, 9.5, 280.0)) {
                self.say(x, face, 9.5, INK, &line);
                self.y += 13.0;
            }
        }
    }

    fn table_head(&mut self) {
        for (x, words) in [(QUANTITY, "Quantity"), (UNIT, "Unit price"), (TAX, "Tax"), (RIGHT, "Amount")] {
            self.say_right(x, Face::Plain, 8.0, SOFT, words);
        }
        self.say(LEFT, Face::Plain, 8.0, SOFT, "Description");
        self.y += 6.0;
        self.rule(INK, 0.8);
        self.y += 16.0;
    }

    fn make_room(&mut self, height: f32) {
        if self.y + height > BOTTOM {
            self.foot();
            self.pdf.next_page();
            self.pdf.fill((0.0, 0.0), (WIDTH, 6.0), ACCENT);
            self.y = 64.0;
        }
    }

    fn table(&mut self) {
        self.table_head();
        let lines = self.bill["lines"].as_array().cloned().unwrap_or_default();
        for line in &lines {
            let words = wrap(text(line, "description"), Face::Plain, 9.5, 220.0);
            let discount = number(line, "discount_minor");
            let height = 13.0 * (words.len() + usize::from(discount != 0)) as f32 + 9.0;
            let before = self.pdf.page();
            self.make_room(height);
            if self.pdf.page() != before {
                self.table_head();
            }
            self.line(line, &words, discount);
        }
    }

    fn line(&mut self, line: &Value, words: &[String], discount: i64) {
        let currency = self.currency;
        self.say_right(QUANTITY, Face::Plain, 9.5, INK, &number(line, "quantity").to_string());
        let unit = line["unit_minor"].as_i64().map_or_else(|| "-".to_owned(), |minor| amount(minor, currency));
        self.say_right(UNIT, Face::Plain, 9.5, INK, &unit);
        let ppm = number(line, "tax_ppm");
        self.say_right(TAX, Face::Plain, 9.5, INK, &if ppm == 0 { "-".to_owned() } else { percent(ppm) });
        self.say_right(RIGHT, Face::Plain, 9.5, INK, &amount(number(line, "amount_minor"), currency));
        for words in words {
            self.say(LEFT, Face::Plain, 9.5, INK, words);
            self.y += 13.0;
        }
        if discount != 0 {
            self.say(LEFT, Face::Plain, 8.5, SOFT, "Discount");
            self.say_right(RIGHT, Face::Plain, 9.5, SOFT, &amount(-discount, currency));
            self.y += 13.0;
        }
        self.y -= 5.0;
        self.rule(RULE, 0.5);
        self.y += 14.0;
    }

    fn totals(&mut self) {
        let (bill, currency) = (self.bill, self.currency);
        self.make_room(130.0);
        self.y += 6.0;
        let total = |name: &str| amount(number(bill, name), currency);
        let mut rows = vec![("Net", total("subtotal_minor"))];
        if number(bill, "tax_minor") != 0 {
            rows.push(("Tax", total("tax_minor")));
        }
        for (label, value) in rows {
            self.say(UNIT - 70.0, Face::Plain, 9.5, SOFT, label);
            self.say_right(RIGHT, Face::Plain, 9.5, INK, &value);
            self.y += 16.0;
        }
        let (x, y) = (UNIT - 82.0, self.y - 9.0);
        self.pdf.fill((x, y), (RIGHT - x, 26.0), ACCENT);
        self.y += 8.0;
        self.say(UNIT - 70.0, Face::Bold, 11.0, (1.0, 1.0, 1.0), "Total");
        let grand = format!("{} {}", total("total_minor"), currency.code());
        self.say_right(RIGHT - 10.0, Face::Bold, 11.0, (1.0, 1.0, 1.0), &grand);
        self.y += 30.0;
        if text(bill, "kind") == "invoice" {
            let paid = [("Paid", "paid_minor"), ("Credited", "credited_minor")];
            for (label, name) in paid.into_iter().filter(|(_, name)| number(bill, name) != 0) {
                self.say(UNIT - 70.0, Face::Plain, 9.5, SOFT, label);
                self.say_right(RIGHT, Face::Plain, 9.5, INK, &amount(-number(bill, name), currency));
                self.y += 16.0;
            }
            self.say(UNIT - 70.0, Face::Bold, 9.5, INK, "Due");
            self.say_right(RIGHT, Face::Bold, 9.5, INK, &format!("{} {}", total("due_minor"), currency.code()));
            self.y += 26.0;
        }
        let notes = [text(bill, "reason"), text(&bill["seller"], "instructions")];
        for line in notes.into_iter().flat_map(str::lines).flat_map(|line| wrap(line, Face::Plain, 9.0, RIGHT - LEFT)) {
            self.make_room(14.0);
            self.say(LEFT, Face::Plain, 9.0, SOFT, &line);
            self.y += 13.0;
        }
    }

    fn foot(&mut self) {
        let page = format!("Page {}", self.pdf.page());
        let left = format!("{} {}", text(&self.bill["seller"], "name"), text(self.bill, "number"));
        self.pdf.text((LEFT, 806.0), Face::Plain, 8.0, SOFT, left.trim());
        self.pdf.text((RIGHT - width(&page, Face::Plain, 8.0), 806.0), Face::Plain, 8.0, SOFT, &page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_and_rates_read_as_people_write_them() {
        let usd = Currency::parse("USD").unwrap();
        assert_eq!(amount(123_456_789, usd), "1\u{a0}234\u{a0}567.89");
        assert_eq!(amount(-999, Currency::parse("RWF").unwrap()), "-999");
        assert_eq!((percent(180_000), percent(88_750)), ("18 %".to_owned(), "8.875 %".to_owned()));
    }

    #[test]
    fn a_long_bill_goes_on_on_further_pages() {
        let line = json!({"description": "A day of work on site with travel and tools, billed by the day", "quantity": 2, "unit_minor": 150_000,
            "amount_minor": 300_000, "discount_minor": 0, "tax_ppm": 180_000, "tax_minor": 54_000, "total_minor": 354_000});
        let bill = json!({"kind": "invoice", "status": "open", "number": "LB-000007", "currency": "RWF", "seller": {"name": "LOOP Ltd"},
            "customer": {"name": "Anna's Tea House"}, "lines": vec![line; 40], "total_minor": 1, "due_minor": 1});
        let pdf = render(&bill).unwrap();
        let text: String = pdf.iter().map(|byte| char::from(*byte)).collect();
        assert!(text.contains("(Page 2) Tj") && text.contains("/Count 3"));
        assert_eq!(render(&bill).unwrap(), pdf);
    }
}
