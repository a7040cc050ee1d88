//! The worlds of the engine's tests: two modules of their own, or the product's.

use std::ops::Deref;

use loopd_business::define::{Module, boolean};
use loopd_testkit::{Boot, Database};

use crate::house::{self, House};

pub use crate::house::register;

/// A small module, and one that has everything a definition can say.
pub struct World(House);

/// The modules of [`World`].
pub fn modules() -> Vec<Module> {
    vec![crate::booking::module(), crate::shop::module()]
}

/// The product's own modules.
pub fn real_modules() -> Vec<Module> {
    loopd_business::modules::all()
}

impl Deref for World {
    type Target = House;

    fn deref(&self) -> &House {
        &self.0
    }
}

impl Boot for World {
    const NAME: &'static str = "business";

    async fn prepare(database: &Database) {
        house::prepare(database, modules()).await;
    }
    async fn boot(database: Database) -> Self {
        World(House::boot(database, modules(), false).await)
    }
}

/// [`World`] whose shop lets no strangers in unless a company says so.
pub struct Shut(pub House);

impl Boot for Shut {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }
    async fn boot(database: Database) -> Self {
        let closed = || boolean("public").default(false).help("Whether strangers may look and order.");
        let modules = modules().into_iter();
        let modules = modules.map(|module| if module.slug == "shop" { module.setting(closed()) } else { module });
        Shut(House::boot(database, modules.collect(), false).await)
    }
}

/// A world with the product's own modules instead.
pub struct Whole(pub House);

impl Boot for Whole {
    const NAME: &'static str = "whole";

    async fn prepare(database: &Database) {
        house::prepare(database, real_modules()).await;
    }
    async fn boot(database: Database) -> Self {
        Whole(House::boot(database, real_modules(), false).await)
    }
}

/// [`Whole`] with its rate limits on.
pub struct Throttled(pub House);

impl Boot for Throttled {
    const NAME: &'static str = Whole::NAME;

    async fn prepare(database: &Database) {
        Whole::prepare(database).await;
    }
    async fn boot(database: Database) -> Self {
        Throttled(House::boot(database, real_modules(), true).await)
    }
}
