//! Tables of a module's own that its start makes by itself. `Module::tables` is the better place: what is declared there is in the plan.

use loopd_store::ddl::{self, TableDef};

use crate::engine::Engine;

/// Makes or extends the tables; a no-op when they are there. For a module's `install`, after the resources' tables are made.
///
/// # Errors
/// 500 with the refusals when a change would lose data; 503 from the database.
pub async fn ensure(engine: &Engine, tables: Vec<TableDef>) -> loopd_types::Result<()> {
    let planned = tables.clone();
    let plan =
        engine.kernel.db.read_long(loopd_store::View::System, move |reader| Ok(ddl::plan(reader, &planned)?)).await?;
    if plan == ddl::Plan::default() {
        return Ok(());
    }
    engine
        .kernel
        .db
        .write_unlimited(move |tx| {
            // Planned again under the lock: another node may have been faster.
            tx.lock("module_tables")?;
            let plan = ddl::plan(tx, &tables)?;
            ddl::apply(tx, &plan)?;
            Ok(())
        })
        .await
}
