//! Reading CSV, however a spreadsheet wrote it.

use std::fs::File as Laid;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use loopd_kernel::file::not_laid;
use loopd_types::{Problem, Result};

use super::MOST_ROW_BYTES;
use super::file::{Allowance, File, Laying, refused};

/// What is read from the disk at once.
const BUFFER: usize = 64 * 1024;
const MARK: &[u8] = "\u{feff}".as_bytes();

/// CSV with a header line, separated by commas, semicolons or tabs, in UTF-8 with or without a mark. For a thread that may block.
///
/// # Errors
/// 400 in words: no UTF-8, no header, a row of another length (by its line) or too long, too many rows; 507; 503.
pub fn read_csv(mut laid: &Laid) -> Result<File> {
    laid.seek(SeekFrom::Start(0)).map_err(not_laid)?;
    let mut header = Vec::new();
    BufReader::new(laid).take(MOST_ROW_BYTES as u64).read_until(b'\n', &mut header).map_err(not_laid)?;
    let count = |delimiter: &u8| header.iter().filter(|byte| *byte == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(count).unwrap_or(b',');
    let start = if header.starts_with(MARK) { MARK.len() as u64 } else { 0 };
    laid.seek(SeekFrom::Start(start)).map_err(not_laid)?;

    let allowance = Allowance::default();
    // A quote that nobody closes would make one row of all the rest. What one filling of the buffer held before is judged below.
    let renew = || allowance.set(MOST_ROW_BYTES + BUFFER);
    renew();
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).buffer_capacity(BUFFER).from_reader(allowance.reader(laid));
    let columns: Vec<String> = match reader.headers() {
        Ok(header) if !header.is_empty() => header.iter().map(|name| name.trim().to_owned()).collect(),
        Err(error) if !matches!(error.kind(), ErrorKind::UnequalLengths { .. }) => {
            return Err(problem(error, 0, &allowance));
        }
        _ => return Err(refused("The first line must name the columns.")),
    };
    require_distinct(&columns)?;
    require_no_nul(columns.iter().map(String::as_str))?;
    let mut laying = Laying::new()?;
    let mut record = StringRecord::new();
    for row in 1.. {
        renew();
        let begin = reader.position().byte();
        if !reader.read_record(&mut record).map_err(|error| problem(error, row, &allowance))? {
            break;
        }
        if reader.position().byte() - begin > MOST_ROW_BYTES as u64 {
            return Err(too_long(row));
        }
        require_no_nul(record.iter())?;
        let cells: Vec<Option<&str>> = record.iter().map(|cell| Some(cell).filter(|cell| !cell.is_empty())).collect();
        laying.row(&cells)?;
    }
    laying.finish(columns)
}

fn problem(error: csv::Error, row: usize, allowance: &Allowance) -> Problem {
    if matches!(error.kind(), ErrorKind::Utf8 { .. }) {
        return refused("Save the file as UTF-8: its letters cannot be read.");
    }
    if allowance.is_used_up() {
        return too_long(row);
    }
    let words = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => not_laid(error),
        _ => refused(format!("This is no CSV: {words}.")),
    }
}

/// Row 0 is the header.
pub(super) fn too_long(row: usize) -> Problem {
    refused(format!("Row {row} is longer than {MOST_ROW_BYTES} bytes. Is a quote left open?"))
}

fn require_distinct(columns: &[String]) -> Result<()> {
    match columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
        Some((_, name)) => Err(refused(format!("Two columns are called \"{name}\"."))),
        None => Ok(()),
    }
}

fn require_no_nul<'c>(mut cells: impl Iterator<Item = &'c str>) -> Result<()> {
    if cells.any(|cell| cell.contains('\0')) {
        return Err(refused("Null characters are not allowed."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::engine::import::file::tests::{laid, rows};

    #[test]
    fn csv_is_read_however_a_spreadsheet_writes_it() {
        for text in ["name,phone\nA,\"1,2\"\n", "\u{feff}name;phone\r\nA;1,2\r\n", "name\tphone\nA\t1,2"] {
            let file = read_csv(&laid(text.as_bytes())).unwrap();
            assert_eq!(file.columns, ["name", "phone"], "{text:?}");
            assert_eq!(rows(&file), [[Json::from("A"), Json::from("1,2")]], "{text:?}");
        }
        let endless = [b"name\n\"".as_slice(), &vec![b'x'; 2 * MOST_ROW_BYTES]].concat();
        let long = [b"name\nA\n".as_slice(), &vec![b'x'; MOST_ROW_BYTES], b"\n"].concat();
        let header = vec![b'x'; 2 * MOST_ROW_BYTES];
        for (text, words) in [
            (&b"name\n\xff\n"[..], "UTF-8"),
            (b"\xff\xfen\0a\0", "UTF-8"),
            (b"", "name the columns"),
            (b"a,b\n1\n", "no CSV"),
            (b"a,a\n1,2\n", "Two columns"),
            (b"a\nx\0\n", "Null characters"),
            (&endless, "Row 1 is longer"),
            (&long, "Row 2 is longer"),
            (&header, "Row 0 is longer"),
        ] {
            let problem = read_csv(&laid(text)).unwrap_err();
            assert!(format!("{:?}", problem.fields()).contains(words), "{problem:?}");
        }
    }

    #[test]
    fn a_row_of_the_greatest_length_is_read() {
        let long = [&vec![b'x'; MOST_ROW_BYTES - 1], b"\n".as_slice()].concat();
        let file = read_csv(&laid(&[b"name\n", long.as_slice(), &long].concat())).unwrap();
        assert_eq!(rows(&file).len(), 2);
    }
}
