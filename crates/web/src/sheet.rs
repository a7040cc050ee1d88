//! Rows for spreadsheets: CSV in which no text is a formula.

use loopd_types::{Problem, Result};

/// A text that a spreadsheet would run as a formula gets an apostrophe in front.
/// Source: OWASP, "CSV Injection".
pub fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text }
}

/// Lines of CSV, each of these cells; none of them is run as a formula.
///
/// # Errors
/// 500 when a line cannot be written.
pub fn lines<C: IntoIterator<Item = String>>(rows: impl IntoIterator<Item = C>) -> Result<Vec<u8>> {
    let written = |error: csv::Error| Problem::internal(format!("CSV: {error}"));
    let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        csv.write_record(row.into_iter().map(harmless)).map_err(written)?;
    }
    csv.into_inner().map_err(|error| Problem::internal(format!("CSV: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{harmless, lines};

    #[test]
    fn formulas_are_disarmed() {
        for text in ["=1+1", "+250788", "-x", "@sum", "\tx"] {
            assert_eq!(harmless(text.into()), format!("'{text}"));
        }
        assert_eq!(harmless("plain = text".into()), "plain = text");
        let row = ["=1", "a,b", "say \"hi\""].map(str::to_owned);
        assert_eq!(lines([row]).unwrap(), b"'=1,\"a,b\",\"say \"\"hi\"\"\"\n");
    }
}
