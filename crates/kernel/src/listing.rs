//! Lists of core resources: columns declared once give paging, search, ordering, filters and the JSON of a row (spec/loop.md 5.8).

use loopd_store::{Reader, Row, StoreError, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

/// How a column is read, filtered and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    Text,
    Uuid,
    Time,
    Bool,
    Int,
    Json,
    /// A company's number, written as its code; NULL and 0 as null.
    Company,
}

/// One member of a row's JSON.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub sql: &'static str,
    pub kind: ColumnKind,
    pub searched: bool,
    /// Whether its JSON may be null; what the documents say.
    pub nullable: bool,
    /// What search, filters and order look at where that is less than what is read: for text of which the caller is shown a part.
    pub compared: Option<&'static str>,
}

impl Column {
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Has search, filters and order look at this SQL in place of what is read.
    pub const fn compared(mut self, sql: &'static str) -> Self {
        self.compared = Some(sql);
        self
    }

    fn compared_sql(&self) -> &'static str {
        match self.compared {
            Some(sql) => sql,
            None => self.sql,
        }
    }
}

/// A plain column.
pub const fn column(name: &'static str, sql: &'static str, kind: ColumnKind) -> Column {
    Column { name, sql, kind, searched: false, nullable: false, compared: None }
}
/// A text column that `?search=` looks into.
pub const fn searched(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: ColumnKind::Text, searched: true, nullable: false, compared: None }
}

/// A core resource as SQL: where its rows come from and what is shown of them.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    pub from: &'static str,
    pub columns: &'static [Column],
    /// The company column, for lists that are limited to companies.
    pub company: Option<&'static str>,
    pub id: &'static str,
    /// SQL of the default order; must be total.
    pub order: &'static str,
}

/// Words and phrases of one search; more are left out, as no person types them.
const MAX_TERMS: usize = 12;

/// Which page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageRef {
    Number(u64),
    Last,
}

/// A parsed list query.
#[derive(Clone, Debug)]
pub struct ListQuery {
    pub page: PageRef,
    pub page_size: u32,
    /// As [`split_terms`] gives them.
    pub search: Vec<String>,
    /// Field and whether descending.
    pub ordering: Vec<(String, bool)>,
    /// `name` or `name__suffix`, and the text given.
    pub filters: Vec<(String, String)>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { page: PageRef::Number(1), page_size: 25, search: Vec::new(), ordering: Vec::new(), filters: Vec::new() }
    }
}

/// One page of rows, already JSON.
#[derive(Clone, Debug)]
pub struct Listed {
    pub count: u64,
    /// The page that was given, from 1.
    pub page: u64,
    pub page_size: u32,
    /// Objects separated by commas, without brackets.
    pub rows: Vec<u8>,
}

/// Further conditions of a list: SQL with `{}` for each value's marker.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    sql: Vec<String>,
    params: Vec<Value>,
}

impl Conditions {
    /// Adds `condition`, in which each `{}` stands for the next value.
    pub fn and(mut self, condition: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.add(condition, values);
        self
    }

    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        let mut sql = String::new();
        let mut pieces = condition.split("{}");
        sql.push_str(pieces.next().unwrap_or_default());
        let mut values = values.into_iter();
        for piece in pieces {
            self.params.push(values.next().expect("a value for every {}"));
            sql.push_str(&format!("${}{piece}", self.params.len()));
        }
        self.sql.push(sql);
    }

    fn clause(&self) -> String {
        if self.sql.is_empty() { String::new() } else { format!(" WHERE {}", self.sql.join(" AND ")) }
    }
}

impl Listing {
    /// The page of rows that `query` asks for, among `companies` (ignored where the listing has no company) and `extra`.
    ///
    /// # Errors
    /// 400 for unknown filters and values of a wrong form; 404 `not_found` "Invalid page." past the last page.
    pub fn list(
        &self,
        reader: &mut Reader<'_>,
        query: &ListQuery,
        companies: Option<&[CompanyId]>,
        extra: Conditions,
    ) -> Result<Listed> {
        let mut conditions = extra;
        self.limit_to(&mut conditions, companies);
        self.filter(reader, query, &mut conditions)?;
        let clause = conditions.clause();
        let count =
            reader.one(&format!("SELECT count(*) FROM {}{clause}", self.from), &conditions.params, |row| row.i64(0))?;
        let count = u64::try_from(count).unwrap_or(0);
        let size = u64::from(query.page_size);
        let last = count.div_ceil(size).max(1);
        let page = match query.page {
            PageRef::Last => last,
            PageRef::Number(page) => page,
        };
        if page == 0 || page > last {
            return Err(invalid_page());
        }
        let sql = format!(
            "SELECT {} FROM {}{clause} ORDER BY {} LIMIT {size} OFFSET {}",
            self.selected(),
            self.from,
            self.ordering(query),
            (page - 1) * size
        );
        let mut rows = Vec::with_capacity(512 * query.page_size as usize);
        reader.each(&sql, &conditions.params, |row| {
            if !rows.is_empty() {
                rows.push(b',');
            }
            self.render(row, &mut rows)
        })?;
        Ok(Listed { count, page, page_size: query.page_size, rows })
    }

    /// The JSON of one row, or `None` when it is not there (or not in these companies).
    pub fn find(
        &self,
        reader: &mut Reader<'_>,
        id: Uuid,
        companies: Option<&[CompanyId]>,
        extra: Conditions,
    ) -> Result<Option<Vec<u8>>> {
        let mut conditions = extra;
        self.limit_to(&mut conditions, companies);
        conditions.add(&format!("{} = {{}}", self.id), params![id]);
        let sql = format!("SELECT {} FROM {}{}", self.selected(), self.from, conditions.clause());
        Ok(reader.first(&sql, &conditions.params, |row| {
            let mut out = Vec::with_capacity(512);
            self.render(row, &mut out)?;
            Ok(out)
        })?)
    }

    /// Every row that `query` filters, in descending order of ids below `after`, at most `most` of them: for exports, which walk an
    /// index instead of counting offsets. Ids that rise with time make this the newest first.
    ///
    /// # Errors
    /// As [`Listing::list`].
    pub fn walk(
        &self,
        reader: &mut Reader<'_>,
        query: &ListQuery,
        companies: Option<&[CompanyId]>,
        extra: Conditions,
        after: Option<Uuid>,
        most: usize,
    ) -> Result<Vec<(Uuid, Vec<u8>)>> {
        let mut conditions = extra;
        self.limit_to(&mut conditions, companies);
        self.filter(reader, query, &mut conditions)?;
        if let Some(after) = after {
            conditions.add(&format!("{} < {{}}", self.id), params![after]);
        }
        let sql = format!(
            "SELECT {}, {} FROM {}{} ORDER BY {} DESC LIMIT {most}",
            self.selected(),
            self.id,
            self.from,
            conditions.clause(),
            self.id
        );
        Ok(reader.query(&sql, &conditions.params, |row| {
            let mut out = Vec::with_capacity(512);
            self.render(row, &mut out)?;
            Ok((row.uuid(self.columns.len())?, out))
        })?)
    }

    fn limit_to(&self, conditions: &mut Conditions, companies: Option<&[CompanyId]>) {
        let (Some(column), Some(companies)) = (self.company, companies) else { return };
        let markers = vec!["{}"; companies.len()].join(", ");
        let condition = if companies.is_empty() { "1 = 0".to_owned() } else { format!("{column} IN ({markers})") };
        conditions.add(&condition, companies.iter().map(|company| Value::from(*company)));
    }

    fn selected(&self) -> String {
        self.columns.iter().map(|column| column.sql).collect::<Vec<_>>().join(", ")
    }

    fn ordering(&self, query: &ListQuery) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut named: Vec<&str> = Vec::new();
        for (name, descending) in &query.ordering {
            let Some(column) = self.columns.iter().find(|c| c.name == name && c.kind != ColumnKind::Json) else {
                continue;
            };
            if !named.contains(&column.name) {
                named.push(column.name);
                parts.push(format!("{}{}", column.compared_sql(), if *descending { " DESC" } else { "" }));
            }
        }
        if parts.is_empty() {
            return self.order.to_owned();
        }
        parts.push(self.id.to_owned());
        parts.join(", ")
    }

    fn filter(&self, reader: &Reader<'_>, query: &ListQuery, conditions: &mut Conditions) -> Result<()> {
        let engine = reader.engine();
        if !self.columns.iter().any(|column| column.searched) && !query.search.is_empty() {
            return Err(Problem::field("search", "unknown_filter", "Unknown filter."));
        }
        for term in &query.search {
            let any: Vec<&Column> = self.columns.iter().filter(|column| column.searched).collect();
            let sql =
                any.iter().map(|c| dialect::contains(engine, c.compared_sql(), "{}")).collect::<Vec<_>>().join(" OR ");
            conditions.add(&format!("({sql})"), any.iter().map(|_| Value::from(term.as_str())));
        }
        let mut problem = Problem::validation();
        for (name, text) in &query.filters {
            if let Err((code, message)) = self.one_filter(engine, name, text, conditions) {
                problem.add_field(name.clone(), code, message);
            }
        }
        if problem.has_fields() { Err(problem) } else { Ok(()) }
    }

    fn one_filter(
        &self,
        engine: loopd_store::Engine,
        name: &str,
        text: &str,
        conditions: &mut Conditions,
    ) -> Result<(), (&'static str, String)> {
        let (field, suffix) = name.split_once("__").unwrap_or((name, ""));
        let Some(column) = self.columns.iter().find(|c| c.name == field && c.kind != ColumnKind::Json) else {
            return Err(("unknown_filter", "Unknown filter.".to_owned()));
        };
        let sql = column.compared_sql();
        match suffix {
            "" => conditions.add(&format!("{sql} = {{}}"), [parse(column.kind, text)?]),
            "gte" | "lte" | "gt" | "lt" => {
                let operator = match suffix {
                    "gte" => ">=",
                    "lte" => "<=",
                    "gt" => ">",
                    _ => "<",
                };
                conditions.add(&format!("{sql} {operator} {{}}"), [parse(column.kind, text)?]);
            }
            "in" => {
                let values =
                    text.split(',').map(|part| parse(column.kind, part.trim())).collect::<Result<Vec<_>, _>>()?;
                let markers = vec!["{}"; values.len()].join(", ");
                conditions.add(&format!("{sql} IN ({markers})"), values);
            }
            "icontains" if column.kind == ColumnKind::Text => {
                conditions.add(&dialect::contains(engine, sql, "{}"), [Value::from(text)]);
            }
            "isnull" => {
                let Value::Bool(yes) = parse(ColumnKind::Bool, text)? else { unreachable!("Bool parses to Bool") };
                conditions.add(&format!("{sql} IS {}NULL", if yes { "" } else { "NOT " }), []);
            }
            _ => return Err(("unknown_filter", "Unknown filter.".to_owned())),
        }
        Ok(())
    }

    fn render(&self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), StoreError> {
        for (at, column) in self.columns.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
            out.extend_from_slice(column.name.as_bytes());
            out.extend_from_slice(b"\":");
            render_value(row, at, column.kind, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

fn render_value(row: &Row<'_>, at: usize, kind: ColumnKind, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let written = match kind {
        ColumnKind::Text => row.opt_text(at)?.map(|text| write_text(out, text)),
        ColumnKind::Uuid => {
            row.opt_uuid(at)?.map(|id| write_text(out, id.hyphenated().encode_lower(&mut Uuid::encode_buffer())))
        }
        ColumnKind::Time => row.opt_time(at)?.map(|time| {
            out.push(b'"');
            time.write_to(out);
            out.push(b'"');
        }),
        ColumnKind::Bool => row.opt_bool(at)?.map(|yes| out.extend_from_slice(if yes { b"true" } else { b"false" })),
        ColumnKind::Int => row.opt_i64(at)?.map(|number| out.extend_from_slice(number.to_string().as_bytes())),
        ColumnKind::Json => row.opt_json(at)?.map(|json| out.extend_from_slice(json.as_bytes())),
        ColumnKind::Company => row
            .opt_i64(at)?
            .filter(|number| *number > 0)
            .map(|number| write_text(out, &CompanyId(number).code().to_string())),
    };
    if written.is_none() {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

/// The terms of `?search=`: phrases in single or double quotes stay whole, others end at blanks and commas (spec/loop.md 4.4).
/// Blank ones are dropped, and those after the twelfth.
pub fn split_terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut quote) = (Vec::new(), String::new(), None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => {
                quote = None;
                terms.push(std::mem::take(&mut term));
            }
            (Some(_), _) => term.push(letter),
            // within a word it is an apostrophe
            (None, '"' | '\'') if term.is_empty() => quote = Some(letter),
            (None, _) if letter.is_whitespace() || letter == ',' => terms.push(std::mem::take(&mut term)),
            (None, _) => term.push(letter),
        }
    }
    terms.push(term);
    terms.retain(|term| !term.trim().is_empty());
    terms.truncate(MAX_TERMS);
    terms
}

/// The truth in a query: `true/false/1/0/yes/no/on/off`, any case, or their first letters.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// Writes `text` as a JSON string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to memory cannot fail");
}

fn parse(kind: ColumnKind, text: &str) -> Result<Value, (&'static str, String)> {
    let invalid = |message: &str| ("invalid", message.to_owned());
    Ok(match kind {
        ColumnKind::Text | ColumnKind::Json => Value::from(text),
        ColumnKind::Uuid => Value::from(Uuid::parse_str(text).map_err(|_| invalid("Must be a valid UUID."))?),
        ColumnKind::Time => Value::from(Timestamp::parse(text).ok_or_else(|| invalid(Timestamp::WRONG_FORMAT))?),
        ColumnKind::Bool => Value::Bool(parse_bool(text).ok_or_else(|| invalid("Must be a valid boolean."))?),
        ColumnKind::Int => Value::from(text.parse::<i64>().map_err(|_| invalid("A valid integer is required."))?),
        ColumnKind::Company => {
            let code = loopd_types::CompanyCode::parse(text).ok_or_else(|| invalid("Not a company code."))?;
            Value::from(code.0)
        }
    })
}

/// 404 with DRF's words for a page out of range.
pub fn invalid_page() -> Problem {
    Problem::new(loopd_types::Kind::NotFound, "not_found", "Invalid page.")
}

#[cfg(test)]
mod tests {
    use super::{MAX_TERMS, split_terms};

    #[test]
    fn phrases_stay_whole() {
        assert_eq!(split_terms("anna  \"first visit\",x 'y z'"), ["anna", "first visit", "x", "y z"]);
        assert_eq!(split_terms("it's"), ["it's"]);
        assert_eq!(split_terms("\"it's here\" 'a \"b\"'"), ["it's here", "a \"b\""]);
        assert_eq!(split_terms("a \"not closed"), ["a", "not closed"]);
        assert!(split_terms(" ,\"\" ' '\t\u{a0}").is_empty());
        assert_eq!(split_terms(&"word ".repeat(50)).len(), MAX_TERMS);
    }
}
