//! One migration text for both engines: SQLite's spelling of the types, and STRICT tables.

/// SQLite's words for ours. Only words in capitals are types, so a column may be called `json`.
const TYPES: [(&str, &str); 6] = [
    ("UUID", "TEXT"),
    ("JSON", "TEXT"),
    ("JSONB", "TEXT"),
    ("BIGINT", "INTEGER"),
    ("BOOLEAN", "INT"),
    ("BYTEA", "BLOB"),
];

/// Rewrites a script for SQLite; strings, quoted names and comments stay as they are, except that a comment
/// `/*sqlite: WITHOUT ROWID */` is unwrapped.
pub fn for_sqlite(script: &str) -> String {
    let mut out = String::with_capacity(script.len() + 64);
    let mut statement = Statement::default();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at(length);
        rest = after;
        if let Some(inner) = token.strip_prefix("/*sqlite:").and_then(|inner| inner.strip_suffix("*/")) {
            out.push_str(inner.trim());
            statement.has_options = true;
        } else if token == ";" {
            statement.close(&mut out);
            out.push(';');
        } else if first.is_ascii_alphabetic() {
            statement.word(token);
            out.push_str(TYPES.iter().find(|(ours, _)| *ours == token).map_or(token, |(_, theirs)| theirs));
        } else {
            out.push_str(token);
        }
    }
    statement.close(&mut out);
    out
}

/// What is known of the statement being read.
#[derive(Default)]
struct Statement {
    words: usize,
    creates: bool,
    is_table: bool,
    has_options: bool,
}

impl Statement {
    fn word(&mut self, word: &str) {
        self.words += 1;
        match self.words {
            1 => self.creates = word == "CREATE",
            2 => self.is_table = self.creates && word == "TABLE",
            _ => {}
        }
    }

    /// Before the semicolon, or at the script's end.
    fn close(&mut self, out: &mut String) {
        if self.is_table {
            let end = out.trim_end().len();
            out.truncate(end);
            out.push_str(if self.has_options { ", STRICT" } else { " STRICT" });
        }
        *self = Self::default();
    }
}

/// Length in bytes of the token that `rest` begins with.
fn token_length(rest: &str, first: char) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    match first {
        // a doubled quote inside just begins another token of the same kind
        '\'' => until("'", 1),
        '"' => until("\"", 1),
        '-' if rest.starts_with("--") => until("\n", 2),
        '/' if rest.starts_with("/*") => until("*/", 2),
        _ if first.is_ascii_alphabetic() || first == '_' => {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
        }
        _ => first.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::for_sqlite;

    #[test]
    fn types_are_translated_word_by_word_and_tables_are_strict() {
        assert_eq!(
            for_sqlite(
                "CREATE TABLE t (id UUID, json JSON, n BIGINT DEFAULT 1, b BOOLEAN, raw BYTEA);\nCREATE INDEX i ON t (n);"
            ),
            "CREATE TABLE t (id TEXT, json TEXT, n INTEGER DEFAULT 1, b INT, raw BLOB) STRICT;\nCREATE INDEX i ON t (n);"
        );
    }

    #[test]
    fn strings_and_comments_are_left_alone() {
        let text = "-- a UUID; really\nINSERT INTO t VALUES ('JSON; it''s BIGINT', \"BOOLEAN\") /* BYTEA; */;";
        assert_eq!(for_sqlite(text), text);
    }

    #[test]
    fn a_comment_for_sqlite_is_unwrapped() {
        assert_eq!(
            for_sqlite("CREATE TABLE t (id UUID PRIMARY KEY) /*sqlite: WITHOUT ROWID */"),
            "CREATE TABLE t (id TEXT PRIMARY KEY) WITHOUT ROWID, STRICT"
        );
    }
}
