//! The test world itself: copies are complete, separate and gone afterwards, on both engines.

use loopd_store::{Db, View};
use loopd_testkit::{Boot, Database, each_engine};
use loopd_types::Problem;

struct Shop {
    db: Db,
    database: Database,
}

impl Boot for Shop {
    const NAME: &'static str = "shop";

    async fn prepare(database: &Database) {
        let db = Db::open(database.config()).await.expect("an empty database can be opened");
        let made = db.write(View::System, |tx| {
            tx.execute("CREATE TABLE goods (name TEXT NOT NULL)", &[])?;
            tx.execute("INSERT INTO goods (name) VALUES ('tea')", &[])?;
            Ok(())
        });
        made.await.expect("a table can be made");
    }

    async fn boot(database: Database) -> Self {
        Self { db: Db::open(database.config()).await.expect("a copy can be opened"), database }
    }
}

impl Shop {
    async fn goods(&self) -> Result<Vec<String>, Problem> {
        let names = self.db.read(View::System, |reader| {
            Ok(reader.query("SELECT name FROM goods ORDER BY name", &[], |row| row.text(0).map(str::to_owned))?)
        });
        names.await
    }

    async fn sell(&self, name: &'static str) -> Result<(), Problem> {
        let sold = self.db.write(View::System, move |tx| {
            tx.execute("INSERT INTO goods (name) VALUES ($1)", &[name.into()])?;
            Ok(())
        });
        sold.await
    }
}

each_engine! {
    async fn a_test_starts_from_what_was_prepared(shop: &Shop) {
        assert_eq!(shop.goods().await.unwrap(), ["tea"]);
    }

    async fn what_one_test_writes_no_other_sees(shop: &Shop) {
        let other = Shop::boot(Database::prepared::<Shop>(shop.database.engine()).await.unwrap()).await;
        shop.sell("salt").await.unwrap();
        assert_eq!(shop.goods().await.unwrap(), ["salt", "tea"]);
        assert_eq!(other.goods().await.unwrap(), ["tea"]);
    }

    async fn an_empty_database_has_no_table(shop: &Shop) {
        let empty = Database::empty(shop.database.engine()).await.unwrap();
        let bare = Shop::boot(empty).await;
        assert!(bare.goods().await.is_err());
    }
}
