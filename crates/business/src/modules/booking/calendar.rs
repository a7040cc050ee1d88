//! What is taken and what is free: one staff member and one resource over a stretch of time, and whether an appointment fits in. Pure.
//!
//! Whoever asks (a booking, a search for free times) asks [`Calendar::refusal`], so that a time that is offered is a time that is taken.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use loopd_types::{MINUTE_US, Timestamp, Uuid};

use super::hours::{Span, days, merged};

/// Times that one search looks at: what a server does for one question must have an end.
const LOOKS_MAX: usize = 100_000;

/// A live appointment.
#[derive(Clone, Debug)]
pub struct Booking {
    pub service: Option<Uuid>,
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    pub time: Span,
    /// With the buffers around it.
    pub blocked: Span,
    pub party: i64,
    /// Shares its time with others of the same service.
    pub is_group: bool,
}

/// An appointment that is to be fitted in.
#[derive(Clone, Debug)]
pub struct Wish {
    pub service: Option<Uuid>,
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    pub time: Span,
    pub blocked: Span,
    pub party: i64,
    /// How many people the service takes at once; more than one makes it a group session.
    pub capacity: i64,
}

/// Why a wish does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    OutsideHours,
    Away(Span),
    StaffBusy(Span),
    ResourceFull(Span),
    /// So many more people the session could take.
    SessionFull(Span, i64),
}

/// What is known of one staff member and one resource (either may be nobody) in a stretch of time.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    /// Appointments that the resource takes at once; a group session is one.
    pub resource_capacity: i64,
    /// When it is open, as the hours say it: offers are counted from each beginning. `None` for always.
    open: Option<Vec<Span>>,
    /// The same, with no seam where one stretch follows on another.
    hours: Option<Vec<Span>>,
    /// Approved time off.
    pub away: Vec<Span>,
    pub bookings: Vec<Booking>,
}

impl Wish {
    fn is_group(&self) -> bool {
        self.capacity > 1
    }
    fn same_time(&self, booking: &Booking) -> bool {
        self.is_group() && self.service == booking.service && self.time == booking.time
    }
    /// Whether the booking is of the session that the wish would join.
    fn joins(&self, booking: &Booking) -> bool {
        self.same_time(booking)
            && self.staff == booking.staff
            && (self.staff.is_some() || self.resource == booking.resource)
    }
}

impl Calendar {
    /// The calendar of whoever is open then, in order.
    pub fn new(open: Option<Vec<Span>>, away: Vec<Span>, bookings: Vec<Booking>) -> Self {
        let hours = open.as_deref().map(merged);
        Self { staff: None, resource: None, resource_capacity: 1, open, hours, away, bookings }
    }

    /// Why the wish does not fit; `None` when it does.
    pub fn refusal(&self, wish: &Wish) -> Option<Refusal> {
        if let Some(hours) = &self.hours
            && !hours.iter().any(|span| span.holds(wish.time))
        {
            return Some(Refusal::OutsideHours);
        }
        if let Some(away) = self.away.iter().find(|away| away.overlaps(wish.time)) {
            return Some(Refusal::Away(*away));
        }
        let near = |booking: &&Booking| booking.blocked.overlaps(wish.blocked);
        if wish.staff.is_some()
            && let Some(busy) = self.bookings.iter().filter(near).find(|b| b.staff == wish.staff && !wish.same_time(b))
        {
            return Some(Refusal::StaffBusy(busy.time));
        }
        if wish.resource.is_some()
            && let Some(full) = self.full(wish)
        {
            return Some(Refusal::ResourceFull(full));
        }
        let left = self.seats_left(wish);
        (wish.is_group() && wish.party > left).then_some(Refusal::SessionFull(wish.time, left))
    }

    /// How many more people fit into the session of the wish.
    pub fn seats_left(&self, wish: &Wish) -> i64 {
        let taken: i64 = self.bookings.iter().filter(|b| wish.joins(b)).map(|b| b.party).sum();
        (wish.capacity - taken).max(0)
    }

    /// Where the resource takes nothing more beside the wish.
    fn full(&self, wish: &Wish) -> Option<Span> {
        let mut sessions = BTreeSet::new();
        let mut others: Vec<&Booking> = Vec::new();
        let here = |b: &&Booking| b.resource == wish.resource && b.blocked.overlaps(wish.blocked);
        for booking in self.bookings.iter().filter(here) {
            let is_own = wish.same_time(booking) && wish.staff == booking.staff;
            // the people of one group session take one place of the resource together
            let counts = !booking.is_group || sessions.insert((booking.service, booking.time, booking.staff));
            if !is_own && counts {
                others.push(booking);
            }
        }
        // the number of overlapping stretches is largest where one of them begins
        let begins = others.iter().map(|b| b.blocked.from.max(wish.blocked.from));
        begins.into_iter().find_map(|moment| {
            let there: Vec<&&Booking> =
                others.iter().filter(|b| b.blocked.from <= moment && moment < b.blocked.to).collect();
            let first = there.first()?.time;
            let is_full = i64::try_from(there.len()).unwrap_or(i64::MAX) >= self.resource_capacity;
            is_full
                .then(|| there.iter().fold(first, |span, b| span.common(b.time)))
                .map(|common| if common.is_empty() { first } else { common })
        })
    }

    /// The same, with only what matters within `window`.
    fn around(&self, window: Span) -> Calendar {
        let near = |span: Span| span.overlaps(window);
        let spans = |spans: &Vec<Span>| spans.iter().copied().filter(|span| near(*span)).collect();
        Calendar {
            open: self.open.as_ref().map(spans),
            hours: self.hours.as_ref().map(spans),
            away: self.away.iter().copied().filter(|span| near(*span)).collect(),
            bookings: self.bookings.iter().filter(|booking| near(booking.blocked)).cloned().collect(),
            ..*self
        }
    }
}

/// What free times are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    pub window: Span,
    pub service: Option<Uuid>,
    /// Microseconds.
    pub length: i64,
    pub before: i64,
    pub after: i64,
    pub capacity: i64,
    pub party: i64,
    /// Minutes between two offers, counted from when it opens; at least one.
    pub step_min: i64,
    pub limit: usize,
    /// Whose midnight begins the day where no hours are set.
    pub zone: TimeZone,
}

/// A free time.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub time: Span,
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    pub seats_left: i64,
}

impl Search {
    fn wish(&self, calendar: &Calendar, start: Timestamp) -> Wish {
        let time = Span::new(start, start.plus(self.length));
        Wish {
            service: self.service,
            staff: calendar.staff,
            resource: calendar.resource,
            time,
            blocked: Span::new(time.from.plus(-self.before), time.to.plus(self.after)),
            party: self.party,
            capacity: self.capacity,
        }
    }

    /// Free times in order, at most `limit` (a few more when several begin together); and where to go on when there may be more. A search
    /// that finds little ends after [`LOOKS_MAX`] looks.
    pub fn free(&self, calendars: &[Calendar]) -> (Vec<Slot>, Option<Timestamp>) {
        let mut slots: Vec<Slot> = Vec::new();
        let (mut looks, mut last_look) = (0usize, None);
        let step = self.step_min.max(1) * MINUTE_US;
        for day in days(self.window, &self.zone) {
            let chunk = day.common(self.window);
            let reach = Span::new(chunk.from.plus(-self.before), chunk.to.plus(self.length + self.after));
            let near: Vec<Calendar> = calendars.iter().map(|calendar| calendar.around(reach)).collect();
            let mut starts = BTreeSet::new();
            for (at, calendar) in near.iter().enumerate() {
                let grids = calendar.open.clone().unwrap_or_else(|| vec![day]);
                for grid in grids {
                    let skipped = (chunk.from.micros() - grid.from.micros()).max(0);
                    let mut start = grid.from.plus((skipped + step - 1) / step * step);
                    while start < chunk.to && start < grid.to {
                        starts.insert((start, at));
                        start = start.plus(step);
                    }
                }
            }
            for (start, at) in starts {
                if looks >= LOOKS_MAX && last_look.is_some_and(|last| last < start) {
                    return (slots, Some(start));
                }
                looks += 1;
                last_look = Some(start);
                let wish = self.wish(&near[at], start);
                if wish.time.to > self.window.to || near[at].refusal(&wish).is_some() {
                    continue;
                }
                if slots.len() >= self.limit && slots.last().is_some_and(|last| last.time.from < start) {
                    return (slots, Some(start));
                }
                slots.push(Slot {
                    time: wish.time,
                    staff: wish.staff,
                    resource: wish.resource,
                    seats_left: near[at].seats_left(&wish),
                });
            }
        }
        (slots, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Option<Uuid> {
        Some(Uuid::from_u128(n))
    }
    fn span(from: i64, to: i64) -> Span {
        Span::new(Timestamp(from * MINUTE_US), Timestamp(to * MINUTE_US))
    }
    fn booking(time: Span) -> Booking {
        Booking { service: id(1), staff: id(2), resource: id(3), time, blocked: time, party: 1, is_group: false }
    }
    fn wish(time: Span, capacity: i64, party: i64) -> Wish {
        Wish { service: id(1), staff: id(2), resource: id(3), time, blocked: time, party, capacity }
    }
    fn calendar(resource_capacity: i64, bookings: Vec<Booking>) -> Calendar {
        Calendar { staff: id(2), resource: id(3), resource_capacity, ..Calendar::new(None, Vec::new(), bookings) }
    }

    #[test]
    fn one_person_does_one_thing_at_a_time() {
        let busy = calendar(9, vec![booking(span(60, 90))]);
        assert_eq!(busy.refusal(&wish(span(30, 60), 1, 1)), None);
        assert_eq!(busy.refusal(&wish(span(90, 120), 1, 1)), None);
        assert_eq!(busy.refusal(&wish(span(80, 100), 1, 1)), Some(Refusal::StaffBusy(span(60, 90))));
        let mut with_buffer = wish(span(30, 60), 1, 1);
        with_buffer.blocked = span(30, 61);
        assert_eq!(busy.refusal(&with_buffer), Some(Refusal::StaffBusy(span(60, 90))));
    }

    #[test]
    fn a_group_shares_its_time_until_it_is_full() {
        let member = Booking { is_group: true, party: 3, ..booking(span(60, 120)) };
        let class = calendar(1, vec![member.clone(), Booking { party: 2, ..member }]);
        assert_eq!(class.refusal(&wish(span(60, 120), 8, 3)), None);
        assert_eq!(class.refusal(&wish(span(60, 120), 8, 4)), Some(Refusal::SessionFull(span(60, 120), 3)));
        assert_eq!(class.refusal(&wish(span(90, 150), 8, 1)), Some(Refusal::StaffBusy(span(60, 120))));
    }

    #[test]
    fn a_resource_is_full_where_most_meet_not_where_many_pass() {
        let taken = |from, to| Booking { staff: None, ..booking(span(from, to)) };
        let unstaffed = |from, to| Wish { staff: None, ..wish(span(from, to), 1, 1) };
        let room = calendar(2, vec![taken(0, 30), taken(30, 60), taken(50, 90)]);
        assert_eq!(room.refusal(&unstaffed(0, 50)), None);
        assert_eq!(room.refusal(&unstaffed(0, 55)), Some(Refusal::ResourceFull(span(50, 60))));
        assert_eq!(room.refusal(&unstaffed(60, 90)), None);
    }

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        let search = Search {
            window: span(0, 24 * 60),
            service: None,
            length: 60 * MINUTE_US,
            before: 0,
            after: 0,
            capacity: 1,
            party: 1,
            step_min: 60,
            limit: 5,
            zone: TimeZone::UTC,
        };
        let free = calendar(1, vec![booking(span(120, 180))]);
        let (slots, next) = search.free(std::slice::from_ref(&free));
        let starts: Vec<i64> = slots.iter().map(|slot| slot.time.from.micros() / MINUTE_US).collect();
        assert_eq!(starts, [0, 60, 180, 240, 300]);
        let rest = Search { window: Span::new(next.unwrap(), search.window.to), limit: 99, ..search };
        assert_eq!(rest.free(&[free]).0.len(), 18);
    }

    #[test]
    fn a_search_that_finds_nothing_ends_and_goes_on() {
        let search = Search {
            window: span(0, 62 * 24 * 60),
            service: id(1),
            length: 30 * MINUTE_US,
            before: 0,
            after: 0,
            capacity: 1,
            party: 1,
            step_min: 5,
            limit: 10,
            zone: TimeZone::UTC,
        };
        let taken: Vec<Booking> = (0..62 * 24 * 2).map(|n| booking(span(n * 30, n * 30 + 30))).collect();
        let everybody = vec![calendar(1, taken); 50];
        let (mut from, mut rounds) = (search.window.from, 0);
        while let (slots, Some(next)) =
            (Search { window: Span::new(from, search.window.to), ..search.clone() }).free(&everybody)
        {
            assert!(slots.is_empty() && next > from);
            (from, rounds) = (next, rounds + 1);
        }
        assert_eq!(rounds, 62 * 288 * 50 / LOOKS_MAX);
    }
}
