//! [`Session`]: what a [`crate::Reader`] speaks with; [`Batch`]: the writer's, for one transaction of many closures.

use std::cell::RefCell;

use rusqlite::{CachedStatement, Connection, Statement};

use super::tally::Tallies;
use super::{failure, statement};
use crate::{StoreError, Value};

/// Steps a statement that is prepared and bound.
pub type Step<'s> = dyn FnMut(&mut Statement<'_>) -> Result<(), StoreError> + 's;

/// A connection that runs statements.
pub trait Session {
    fn connection(&self) -> &Connection;

    /// Prepares and binds `sql`, and steps it.
    fn run(&self, sql: &str, params: &[Value], step: &mut Step<'_>) -> Result<(), StoreError>;

    /// The counters that this transaction has in memory; `None` where they are read from their table.
    fn tallies(&self) -> Option<&Tallies> {
        None
    }
}

impl Session for Connection {
    fn connection(&self) -> &Connection {
        self
    }

    fn run(&self, sql: &str, params: &[Value], step: &mut Step<'_>) -> Result<(), StoreError> {
        let mut prepared = self.prepare_cached(sql).map_err(failure::from)?;
        let in_order = statement::are_in_order(sql, prepared.parameter_count());
        statement::bind(&mut prepared, params, in_order)?;
        step(&mut prepared)
    }
}

/// Statements that one batch keeps at hand; the rest go through the connection's own cache.
const HELD: usize = 48;

/// The closures of a batch say mostly the same few things. rusqlite's cache copies and hashes a statement's whole text at every
/// use (measured: 4 % of a create), so what one closure prepared stays in hand for the next, found by comparing texts. Not by their
/// addresses: a text that is put together at every use would be prepared anew each time, because the cache gave its statement to the
/// hand. Counters are added to in memory and written once (see [`Tallies`]).
pub struct Batch<'c> {
    connection: &'c Connection,
    held: RefCell<Vec<Held<'c>>>,
    pub tallies: Tallies,
}

struct Held<'c> {
    text: Box<str>,
    in_order: bool,
    prepared: CachedStatement<'c>,
}

impl<'c> Batch<'c> {
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, held: RefCell::default(), tallies: Tallies::default() }
    }
}

impl Session for Batch<'_> {
    fn connection(&self) -> &Connection {
        self.connection
    }

    fn run(&self, sql: &str, params: &[Value], step: &mut Step<'_>) -> Result<(), StoreError> {
        // Held while it is stepped: whoever would run a statement from within a row's visit goes the plain way.
        let Ok(mut held) = self.held.try_borrow_mut() else { return self.connection.run(sql, params, step) };
        let place = match held.iter().position(|one| *one.text == *sql) {
            Some(place) => place,
            None if held.len() == HELD => return self.connection.run(sql, params, step),
            None => {
                let prepared = self.connection.prepare_cached(sql).map_err(failure::from)?;
                let in_order = statement::are_in_order(sql, prepared.parameter_count());
                held.push(Held { text: sql.into(), in_order, prepared });
                held.len() - 1
            }
        };
        let Held { prepared, in_order, .. } = &mut held[place];
        let stepped = statement::bind(prepared, params, *in_order).and_then(|()| step(prepared));
        if stepped.is_err() {
            held.swap_remove(place);
        }
        stepped
    }

    fn tallies(&self) -> Option<&Tallies> {
        Some(&self.tallies)
    }
}
