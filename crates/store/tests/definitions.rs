//! Tables from definitions: made, extended, and never harmed.

use loopd_store::ddl::{self, ColumnDef, ColumnKind, ForeignKeyDef, IndexDef, OnDelete, Plan, TableDef};
use loopd_store::testing::TestDb;
use loopd_store::{Db, View, params};
use loopd_types::Kind;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn customers() -> TableDef {
    TableDef {
        name: "customer".into(),
        columns: vec![
            ColumnDef::required("company_id", ColumnKind::Int),
            ColumnDef::required("id", ColumnKind::Uuid),
            ColumnDef::required("name", ColumnKind::Text),
        ],
        primary_key: names(&["company_id", "id"]),
        foreign_keys: vec![],
        indexes: vec![],
    }
}

fn orders() -> TableDef {
    TableDef {
        name: "order".into(),
        columns: vec![
            ColumnDef::required("company_id", ColumnKind::Int),
            ColumnDef::required("id", ColumnKind::Uuid),
            ColumnDef::required("is_paid", ColumnKind::Bool).with_default(false),
            ColumnDef::required("title", ColumnKind::Text).with_default("it's \"new\""),
            ColumnDef::optional("data", ColumnKind::Json),
        ],
        primary_key: names(&["company_id", "id"]),
        foreign_keys: vec![],
        indexes: vec![IndexDef {
            columns: names(&["company_id", "title"]),
            unique: true,
            where_sql: Some("is_paid".into()),
        }],
    }
}

async fn plan(db: &Db, tables: Vec<TableDef>) -> Plan {
    db.read_long(View::System, move |reader| Ok(ddl::plan(reader, &tables)?)).await.unwrap()
}

async fn apply(db: &Db, tables: Vec<TableDef>) {
    db.write_unlimited(move |tx| {
        let plan = ddl::plan(tx, &tables)?;
        Ok(ddl::apply(tx, &plan)?)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_was_applied_needs_nothing_more() {
    for db in TestDb::both().await {
        let tables = vec![orders(), customers()];
        assert!(!plan(&db, tables.clone()).await.statements.is_empty());
        apply(&db, tables.clone()).await;
        assert_eq!(plan(&db, tables).await, Plan::default(), "{:?}", db.engine());
        db.write(View::System, |tx| {
            tx.execute(
                "INSERT INTO \"order\" (company_id, id) VALUES (1, $1)",
                &params![loopd_types::Uuid::from_u128(1)],
            )?;
            let row =
                tx.one("SELECT is_paid, title FROM \"order\"", &[], |row| Ok((row.bool(0)?, row.text(1)?.to_owned())))?;
            assert_eq!(row, (false, "it's \"new\"".to_owned()));
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn columns_links_and_indexes_are_added_to_a_table_with_rows() {
    for db in TestDb::both().await {
        apply(&db, vec![orders(), customers()]).await;
        let insert = "INSERT INTO \"order\" (company_id, id) VALUES (1, $1)";
        db.write(View::System, move |tx| Ok(tx.execute(insert, &params![loopd_types::Uuid::from_u128(1)])?))
            .await
            .unwrap();
        let mut wider = orders();
        wider.columns.push(ColumnDef::optional("customer_id", ColumnKind::Uuid));
        wider.columns.push(ColumnDef::required("count", ColumnKind::Int).with_default(3));
        wider.foreign_keys.push(ForeignKeyDef {
            columns: names(&["company_id", "customer_id"]),
            table: "customer".into(),
            references: names(&["company_id", "id"]),
            on_delete: OnDelete::Restrict,
        });
        wider.indexes =
            vec![IndexDef { columns: names(&["company_id", "customer_id"]), unique: false, where_sql: None }];
        let tables = vec![wider, customers()];
        apply(&db, tables.clone()).await;
        assert_eq!(plan(&db, tables).await, Plan::default(), "{:?}", db.engine());
        let count = db
            .read(View::System, |reader| Ok(reader.one("SELECT count FROM \"order\"", &[], |row| row.i64(0))?))
            .await
            .unwrap();
        assert_eq!(count, 3);
        let stranger = db
            .write(View::System, |tx| {
                let (id, nobody) = (loopd_types::Uuid::from_u128(2), loopd_types::Uuid::from_u128(99));
                let sql = "INSERT INTO \"order\" (company_id, id, customer_id) VALUES (1, $1, $2)";
                Ok(tx.execute(sql, &params![id, nobody])?)
            })
            .await
            .unwrap_err();
        assert_eq!(stranger.kind(), Kind::Conflict, "{stranger:?}");
    }
}

#[tokio::test]
async fn what_would_lose_data_is_refused_in_words() {
    for db in TestDb::both().await {
        apply(&db, vec![orders()]).await;
        let mut other = orders();
        other.columns[2].kind = ColumnKind::Text;
        other.columns[3].nullable = true;
        other.columns.push(ColumnDef::required("needed", ColumnKind::Int));
        other.columns.remove(1);
        other.primary_key = names(&["company_id"]);
        let refusals = plan(&db, vec![other.clone()]).await.refusals.join("\n");
        for word in
            ["primary key", "order.is_paid", "order.title", "order.needed", "order.id is required but no longer"]
        {
            assert!(refusals.contains(word), "{word} in {refusals}");
        }
        let outcome = db
            .write_unlimited(move |tx| {
                let plan = ddl::plan(tx, &[other.clone()])?;
                Ok(ddl::apply(tx, &plan)?)
            })
            .await;
        assert!(outcome.is_err());
        assert_eq!(plan(&db, vec![orders()]).await, Plan::default());
    }
}

#[tokio::test]
async fn names_are_checked_before_they_meet_sql() {
    for db in TestDb::both().await {
        let mut evil = orders();
        evil.name = "x\"; DROP TABLE y".into();
        let found = plan(&db, vec![evil]).await;
        assert!(found.statements.is_empty() && found.refusals.len() == 1);
    }
}
