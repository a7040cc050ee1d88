//! Every text of every table, to look for somebody in.

use loopd_store::ddl::{ColumnKind, TableDef};
use loopd_store::{StoreError, View, migrate};

use crate::support::World;

impl World {
    fn tables(&self) -> Vec<TableDef> {
        migrate::tables().into_iter().chain(self.engine.registry.tables()).collect()
    }

    /// `table.column: text` of every text and JSON column of every row; with `company`, of that company's rows only, without the jobs that
    /// the server gives itself as days go by.
    pub async fn dump(&self, company: Option<i64>) -> Vec<String> {
        let tables = self.tables();
        assert!(tables.len() > 60, "the modules' tables are among them");
        let read = self.kernel.db.read_unlimited(View::System, move |reader| {
            let mut found = Vec::new();
            for table in &tables {
                let has_company = table.columns.iter().any(|column| column.name == "company_id");
                let limit = match company {
                    Some(company) if has_company && table.name != "jobs" => format!(" WHERE company_id = {company}"),
                    Some(_) => continue,
                    None => String::new(),
                };
                for column in table.columns.iter().filter(|c| matches!(c.kind, ColumnKind::Text | ColumnKind::Json)) {
                    let sql = format!("SELECT CAST(\"{}\" AS TEXT) FROM {}{limit}", column.name, table.name);
                    let texts =
                        reader.query(&sql, &[], |row| Ok::<_, StoreError>(row.opt_text(0)?.map(str::to_owned)))?;
                    let name = format!("{}.{}", table.name, column.name);
                    found.extend(texts.into_iter().flatten().map(|text| format!("{name}: {text}")));
                }
            }
            found.sort();
            Ok(found)
        });
        read.await.expect("every table can be read")
    }

    /// Where one of `words` still stands, without regard to case.
    pub async fn traces_of(&self, words: &[&str]) -> Vec<String> {
        let is_trace = |line: &String| words.iter().any(|word| line.to_lowercase().contains(&word.to_lowercase()));
        self.dump(None).await.into_iter().filter(is_trace).collect()
    }
}
