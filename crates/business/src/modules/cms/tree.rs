//! Trees of pages, categories and menu items: no circles, one site, no orphans.

use crate::define::*;

/// Generations between a record and the top; deeper trees are a mistake, or an attempt to keep us busy.
const MAX_DEPTH: usize = 32;

/// No record is its own ancestor, and a parent stands on the same site or in the same menu.
pub(super) fn check(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    let path = record.resource().path.clone();
    if path == "cms/posts" {
        return Ok(());
    }
    let Some(first) = record.id_in("parent") else { return Ok(()) };
    let was = record.original().and_then(|before| before.id_in("parent"));
    if was != Some(first) {
        // Two moves at once could close a circle that neither of them sees.
        cx.tx.lock(&format!("cms.tree:{path}:{}", cx.company().0))?;
    }
    let beside = if path == "cms/menu-items" { "menu" } else { "site" };
    let mut next = Some(first);
    for depth in 0..MAX_DEPTH {
        let Some(id) = next else { return Ok(()) };
        if id == record.id() {
            return Err(Problem::field("parent", "circle", "A record cannot stand below itself."));
        }
        let Some(parent) = cx.find(&path, id)? else { return Ok(()) };
        if depth == 0 && parent.id_in(beside) != record.id_in(beside) {
            let words = format!("The parent belongs to another {beside}.");
            return Err(Problem::field("parent", "invalid", words));
        }
        next = parent.id_in("parent");
    }
    Err(Problem::field("parent", "max_length", format!("A tree has at most {MAX_DEPTH} levels.")))
}

pub(super) fn refuse_with_children(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    let path = record.resource().path.clone();
    if cx.count(&path, &Where::new().eq("parent", record.id()))? > 0 {
        return Err(Problem::conflict("has_children", "Move or delete what stands below it first."));
    }
    Ok(())
}
