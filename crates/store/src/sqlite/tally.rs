//! [`Tallies`]: a batch's counter rows in memory.
//!
//! Every create takes a number and counts a row. One UPDATE for each was 6 % of a create; here they are added to in memory and
//! written once, before the commit that makes what they count durable. Nobody else can write meanwhile (`BEGIN IMMEDIATE`).

use std::cell::{Cell, RefCell};

use rusqlite::Connection;

use super::session::Session;
use super::statement;
use crate::tally::{SELECT, Tally, UPSERT};
use crate::{StoreError, params};

#[derive(Default)]
pub struct Tallies {
    rows: RefCell<Vec<Counted>>,
    /// What each addition replaced, so that a closure's can be taken back.
    past: RefCell<Vec<(usize, Tally)>>,
    unwritten: Cell<bool>,
}

struct Counted {
    company: i64,
    name: Box<str>,
    tally: Tally,
}

/// A point in a batch to which its counters can return.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

impl Tallies {
    /// The counter as this transaction sees it.
    pub fn read(&self, session: &dyn Session, company: i64, name: &str) -> Result<Tally, StoreError> {
        let place = self.place(session, company, name)?;
        Ok(self.rows.borrow()[place].tally)
    }

    /// Adds and returns the sum.
    pub fn add(&self, session: &dyn Session, company: i64, name: &str, by: Tally) -> Result<Tally, StoreError> {
        let place = self.place(session, company, name)?;
        let mut rows = self.rows.borrow_mut();
        let counted = &mut rows[place];
        self.past.borrow_mut().push((place, counted.tally));
        self.unwritten.set(true);
        counted.tally = counted.tally.plus(by);
        Ok(counted.tally)
    }

    fn place(&self, session: &dyn Session, company: i64, name: &str) -> Result<usize, StoreError> {
        let known = self.rows.borrow().iter().position(|one| one.company == company && *one.name == *name);
        if let Some(place) = known {
            return Ok(place);
        }
        let mut tally = Tally::default();
        statement::each(session, SELECT, &params![company, name], &mut |row| {
            tally = Tally::read(row).unwrap_or_default();
            false
        })?;
        let mut rows = self.rows.borrow_mut();
        rows.push(Counted { company, name: name.into(), tally });
        Ok(rows.len() - 1)
    }

    pub fn mark(&self) -> Mark {
        Mark(self.past.borrow().len())
    }

    /// Takes back what was added since.
    pub fn back(&self, mark: Mark) {
        let (mut rows, mut past) = (self.rows.borrow_mut(), self.past.borrow_mut());
        for (place, before) in past.drain(mark.0..).rev() {
            rows[place].tally = before;
        }
    }

    /// Forgets everything: the transaction was rolled back.
    pub fn forget(&self) {
        self.rows.borrow_mut().clear();
        self.past.borrow_mut().clear();
        self.unwritten.set(false);
    }

    /// Writes what was added to; to be called before COMMIT.
    pub fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        if !self.unwritten.get() {
            return Ok(());
        }
        let mut touched: Vec<usize> = self.past.borrow().iter().map(|(place, _)| *place).collect();
        touched.sort_unstable();
        touched.dedup();
        let rows = self.rows.borrow();
        for Counted { company, name, tally } in touched.into_iter().map(|place| &rows[place]) {
            let Tally { value, live, deleted } = *tally;
            statement::execute(connection, UPSERT, &params![*company, &**name, value, live, deleted])?;
        }
        self.unwritten.set(false);
        Ok(())
    }
}
