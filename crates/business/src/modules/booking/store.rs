//! The SQL of booking: what the rules need besides single records. All of it is asked for one company.

use jiff::tz::TimeZone;
use loopd_store::{Reader, Row, StoreError, Value, dialect, params};
use loopd_types::{CompanyId, DAY_US, MINUTE_US, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use super::calendar::{Booking, Calendar};
use super::hours::{Exceptions, Schedule, Span, Week, both, open, read_exceptions};

/// Longest appointment, buffers not counted.
pub const LONGEST_US: i64 = 31 * DAY_US;
/// Longest buffer, before or after.
pub const LONGEST_BUFFER_MIN: i64 = 24 * 60;
/// Staff members among whom free times are looked for.
const STAFF_MAX: usize = 200;

/// Most minutes in a setting: a leap year's.
pub const SETTING_MAX_MIN: i64 = 366 * 24 * 60;

/// A company's choices: `{"booking": {…}}` in its settings, as the module declares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `reminder_min`: how long before the beginning a reminder is due; 0 for never.
    pub reminder_min: i64,
    /// `reminder_message`: whether the customer is written to when a reminder falls due.
    pub reminder_message: bool,
    /// `cancellation_window_min`: nearer to the beginning than this, cancelling needs force. A service may say otherwise.
    pub cancellation_window_min: i64,
    /// `slot_step_min`: minutes between two offered times.
    pub slot_step_min: i64,
    /// `offer_min`: how long an offer to somebody who waits holds.
    pub offer_min: i64,
}

impl Settings {
    fn read(given: &Json) -> Self {
        let minutes = |name: &str, least: i64, default: i64| {
            given[name].as_i64().unwrap_or(default).clamp(least, SETTING_MAX_MIN)
        };
        Self {
            reminder_min: minutes("reminder_min", 0, 24 * 60),
            reminder_message: given["reminder_message"].as_bool().unwrap_or(false),
            cancellation_window_min: minutes("cancellation_window_min", 0, 0),
            slot_step_min: minutes("slot_step_min", 5, 15),
            offer_min: minutes("offer_min", 1, 24 * 60),
        }
    }
}

/// What the rules need to know of a service.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: Uuid,
    pub title: String,
    pub status: String,
    /// Microseconds.
    pub length: i64,
    pub before: i64,
    pub after: i64,
    pub price: Option<i64>,
    pub currency: Option<String>,
    pub capacity: i64,
    pub staff: Vec<Uuid>,
    pub cancellation_window_min: Option<i64>,
}

/// What the rules need to know of a staff member.
#[derive(Clone, Debug)]
pub struct Staff {
    pub id: Uuid,
    pub status: String,
    week: Week,
    zone: TimeZone,
}

/// What the rules need to know of a resource.
#[derive(Clone, Debug)]
pub struct Resource {
    pub id: Uuid,
    pub status: String,
    pub capacity: i64,
}

pub fn settings(reader: &mut Reader<'_>, company: CompanyId) -> Result<Settings> {
    Ok(Settings::read(&loopd_kernel::company::settings(reader, company, "booking")?))
}

/// A service, deleted or not: what was booked stays booked. With `lock`, other bookings of it wait until this transaction ends.
pub fn service(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, lock: bool) -> Result<Option<Service>> {
    let sql = format!(
        "SELECT id, title, status, duration_min, buffer_before_min, buffer_after_min, price, currency, capacity, staff, \
         cancellation_window_min FROM booking_services WHERE company_id = $1 AND id = $2{}",
        locking(reader, lock)
    );
    let found = reader.first(&sql, &params![company, id], |row| {
        let minutes =
            |place: usize, default: i64| Ok::<_, StoreError>(row.opt_i64(place)?.unwrap_or(default) * MINUTE_US);
        Ok(Service {
            id: row.uuid(0)?,
            title: row.text(1)?.to_owned(),
            status: row.text(2)?.to_owned(),
            length: minutes(3, 30)?,
            before: minutes(4, 0)?,
            after: minutes(5, 0)?,
            price: row.opt_i64(6)?,
            currency: row.opt_text(7)?.map(str::to_owned),
            capacity: row.opt_i64(8)?.unwrap_or(1),
            staff: row.opt_json(9)?.map(ids).unwrap_or_default(),
            cancellation_window_min: row.opt_i64(10)?,
        })
    })?;
    Ok(found)
}

fn ids(text: &str) -> Vec<Uuid> {
    let texts: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    texts.iter().filter_map(|text| Uuid::parse_str(text).ok()).collect()
}

const STAFF: &str = "SELECT id, status, working_hours, timezone FROM booking_staff_members WHERE company_id = $1 AND ";

/// A staff member, deleted or not. With `lock`, other bookings of them wait until this transaction ends.
pub fn staff(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, lock: bool) -> Result<Option<Staff>> {
    let sql = format!("{STAFF}id = $2{}", locking(reader, lock));
    Ok(reader.first(&sql, &params![company, id], read_staff)?)
}

/// Those who can do a service: the ones it names, or everybody at work.
pub fn staff_for(reader: &mut Reader<'_>, company: CompanyId, service: Option<&Service>) -> Result<Vec<Staff>> {
    let sql = format!("{STAFF}deleted_at IS NULL AND status = 'active' ORDER BY id");
    let mut all = reader.query(&sql, &params![company], read_staff)?;
    if let Some(named) = service.map(|service| &service.staff).filter(|named| !named.is_empty()) {
        all.retain(|staff| named.contains(&staff.id));
    }
    all.truncate(STAFF_MAX);
    Ok(all)
}

fn read_staff(row: &Row<'_>) -> Result<Staff, StoreError> {
    let week = row.opt_json(2)?.and_then(|text| serde_json::from_str::<Json>(text).ok());
    Ok(Staff {
        id: row.uuid(0)?,
        status: row.text(1)?.to_owned(),
        week: week.and_then(|json| Week::read(&json).ok()).unwrap_or_default(),
        zone: zone(row.opt_text(3)?),
    })
}

/// A resource, deleted or not. With `lock`, other bookings of it wait until this transaction ends.
pub fn resource(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, lock: bool) -> Result<Option<Resource>> {
    let sql = format!(
        "SELECT id, status, capacity FROM booking_resources WHERE company_id = $1 AND id = $2{}",
        locking(reader, lock)
    );
    let found = reader.first(&sql, &params![company, id], |row| {
        Ok(Resource { id: row.uuid(0)?, status: row.text(1)?.to_owned(), capacity: row.opt_i64(2)?.unwrap_or(1) })
    })?;
    Ok(found)
}

fn locking(reader: &Reader<'_>, lock: bool) -> &'static str {
    if lock { dialect::for_update(reader.engine()) } else { "" }
}

/// The zone of this name; UTC's when nobody knows it.
pub fn zone(name: Option<&str>) -> TimeZone {
    name.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// Whose time it is; both empty for the whole company's.
type Owner = (Option<Uuid>, Option<Uuid>);

/// A company's schedules, time off and live appointments around a stretch of time.
pub struct Book {
    window: Span,
    schedules: Vec<(Owner, Schedule)>,
    away: Vec<(Owner, Span)>,
    bookings: Vec<Booking>,
}

/// Whose appointments matter; `None` for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Only {
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    /// Of this service those that neither staff nor resource take.
    pub service: Option<Uuid>,
}

impl Book {
    /// Reads what is needed to say about `window`. `except` is an appointment that is being moved.
    pub fn open(
        reader: &mut Reader<'_>,
        company: CompanyId,
        window: Span,
        only: Option<Only>,
        except: Option<Uuid>,
    ) -> Result<Self> {
        Ok(Self {
            window,
            schedules: schedules(reader, company)?,
            away: away(reader, company, window)?,
            bookings: bookings(reader, company, window, only)?
                .into_iter()
                .filter(|(id, _)| Some(*id) != except)
                .map(|(_, booking)| booking)
                .collect(),
        })
    }

    /// The calendar of a staff member and a resource. The hours of whoever has some bind; the company's do when neither has.
    pub fn calendar(&self, staff: Option<&Staff>, resource: Option<&Resource>) -> Calendar {
        let company = self.schedules_of((None, None));
        let staff_id = staff.map(|staff| staff.id);
        let resource_id = resource.map(|resource| resource.id);
        let mut hours: Option<Vec<Span>> = None;
        let mut bind = |schedules: &[&Schedule], company: &[&Schedule]| {
            let spans = open(schedules, company, self.window);
            hours = Some(match hours.take() {
                Some(known) => both(&known, &spans),
                None => spans,
            });
        };
        if let Some(staff) = staff {
            let own = self.schedules_of((Some(staff.id), None));
            if !own.is_empty() {
                bind(&own, &company);
            } else if !staff.week.is_empty() {
                let week = Schedule {
                    week: staff.week.clone(),
                    exceptions: Exceptions::new(),
                    valid_from: None,
                    valid_until: None,
                    zone: staff.zone.clone(),
                };
                bind(&[&week], &company);
            }
        }
        if resource.is_some() {
            let own = self.schedules_of((None, resource_id));
            if !own.is_empty() {
                bind(&own, &company);
            }
        }
        if hours.is_none() && !company.is_empty() {
            hours = Some(open(&company, &[], self.window));
        }
        let concerns = |owner: &Owner| match owner {
            (None, None) => true,
            (person, thing) => (person.is_some() && *person == staff_id) || (thing.is_some() && *thing == resource_id),
        };
        let away = self.away.iter().filter(|(owner, _)| concerns(owner)).map(|(_, span)| *span).collect();
        let bookings =
            self.bookings.iter().filter(|booking| matters(booking, staff_id, resource_id)).cloned().collect();
        let mut calendar = Calendar::new(hours, away, bookings);
        (calendar.staff, calendar.resource) = (staff_id, resource_id);
        calendar.resource_capacity = resource.map_or(1, |resource| resource.capacity);
        calendar
    }

    fn schedules_of(&self, owner: Owner) -> Vec<&Schedule> {
        self.schedules.iter().filter(|(known, _)| *known == owner).map(|(_, schedule)| schedule).collect()
    }
}

fn matters(booking: &Booking, staff: Option<Uuid>, resource: Option<Uuid>) -> bool {
    match (staff, resource) {
        (None, None) => booking.staff.is_none() && booking.resource.is_none(),
        _ => (staff.is_some() && booking.staff == staff) || (resource.is_some() && booking.resource == resource),
    }
}

fn schedules(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<(Owner, Schedule)>> {
    let rows = reader.query(
        "SELECT staff, resource, weekly_hours, exceptions, valid_from, valid_until, timezone FROM booking_schedules \
         WHERE company_id = $1 AND deleted_at IS NULL AND status = 'active' ORDER BY id",
        &params![company],
        |row| {
            let json = |place: usize| {
                Ok::<_, StoreError>(row.opt_json(place)?.and_then(|text| serde_json::from_str(text).ok()))
            };
            let date = |place: usize| Ok::<_, StoreError>(row.opt_text(place)?.and_then(|text| text.parse().ok()));
            let week = json(2)?.and_then(|json: Json| Week::read(&json).ok()).unwrap_or_default();
            let exceptions = json(3)?.and_then(|json: Json| read_exceptions(&json).ok()).unwrap_or_default();
            let zone = zone(row.opt_text(6)?);
            let schedule = Schedule { week, exceptions, valid_from: date(4)?, valid_until: date(5)?, zone };
            Ok(((row.opt_uuid(0)?, row.opt_uuid(1)?), schedule))
        },
    )?;
    Ok(rows)
}

fn away(reader: &mut Reader<'_>, company: CompanyId, window: Span) -> Result<Vec<(Owner, Span)>> {
    let rows = reader.query(
        "SELECT staff, resource, starts_at, ends_at FROM booking_time_off WHERE company_id = $1 AND deleted_at IS NULL \
         AND status = 'approved' AND starts_at < $3 AND ends_at > $2 ORDER BY starts_at",
        &params![company, window.from, window.to],
        |row| Ok(((row.opt_uuid(0)?, row.opt_uuid(1)?), Span::new(row.time(2)?, row.time(3)?))),
    )?;
    Ok(rows)
}

/// A blocked time has a longest length: what reaches beyond `moment` began after this. It bounds a search over the index of beginnings on
/// both sides, so that no appointment of last year is looked at.
fn earliest(moment: Timestamp) -> Timestamp {
    moment.plus(-LONGEST_US - 2 * LONGEST_BUFFER_MIN * MINUTE_US)
}

fn bookings(
    reader: &mut Reader<'_>,
    company: CompanyId,
    window: Span,
    only: Option<Only>,
) -> Result<Vec<(Uuid, Booking)>> {
    let mut params: Vec<Value> = params![company, window.from, window.to, earliest(window.from)].to_vec();
    // One search for each owner, so that each takes the index over that owner's blocked times.
    let whose: Vec<&str> = match only {
        None => vec![""],
        Some(Only { staff: None, resource: None, service: None }) => return Ok(Vec::new()),
        Some(Only { staff: None, resource: None, service }) => {
            params.push(Value::from(service));
            vec![" AND a.service = $5 AND a.staff IS NULL AND a.resource IS NULL"]
        }
        Some(Only { staff, resource: None, .. }) => {
            params.push(Value::from(staff));
            vec![" AND a.staff = $5"]
        }
        Some(Only { staff: None, resource, .. }) => {
            params.push(Value::from(resource));
            vec![" AND a.resource = $5"]
        }
        Some(Only { staff, resource, .. }) => {
            params.extend([Value::from(staff), Value::from(resource)]);
            vec![" AND a.staff = $5", " AND a.resource = $6 AND (a.staff IS NULL OR a.staff <> $5)"]
        }
    };
    let searches: Vec<String> = whose
        .iter()
        .map(|whose| {
            format!(
                "SELECT a.id, a.service, a.staff, a.resource, a.starts_at, a.ends_at, a.blocked_from, a.blocked_until, a.party_size, \
                 s.capacity FROM booking_appointments a LEFT JOIN booking_services s ON s.company_id = a.company_id AND s.id = a.service \
                 WHERE a.company_id = $1 AND a.deleted_at IS NULL AND a.blocked_from < $3 AND a.blocked_from >= $4 \
                 AND a.blocked_until > $2 AND a.status IN ('pending', 'confirmed', 'checked_in'){whose}"
            )
        })
        .collect();
    let sql = format!("{} ORDER BY 7", searches.join(" UNION ALL "));
    let rows = reader.query(&sql, &params, |row| {
        let booking = Booking {
            service: row.opt_uuid(1)?,
            staff: row.opt_uuid(2)?,
            resource: row.opt_uuid(3)?,
            time: Span::new(row.time(4)?, row.time(5)?),
            blocked: Span::new(row.time(6)?, row.time(7)?),
            party: row.opt_i64(8)?.unwrap_or(1),
            is_group: row.opt_i64(9)?.unwrap_or(1) > 1,
        };
        Ok((row.uuid(0)?, booking))
    })?;
    Ok(rows)
}

/// Ids of the live appointments of a staff member, a resource, or (neither given) the company that overlap a stretch of time.
pub fn live_in(
    reader: &mut Reader<'_>,
    company: CompanyId,
    owner: (Option<Uuid>, Option<Uuid>),
    span: Span,
) -> Result<Vec<Uuid>> {
    let only = match owner {
        (None, None) => None,
        (staff, resource) => Some(Only { staff, resource, service: None }),
    };
    let near = bookings(reader, company, span, only)?;
    Ok(near.into_iter().filter(|(_, booking)| booking.time.overlaps(span)).map(|(id, _)| id).collect())
}

/// How many live appointments that are not over yet name `id` in their field `by`.
pub fn count_upcoming(
    reader: &mut Reader<'_>,
    company: CompanyId,
    by: &'static str,
    id: Uuid,
    now: Timestamp,
) -> Result<i64> {
    let sql = format!(
        "SELECT COUNT(*) FROM booking_appointments WHERE company_id = $1 AND {by} = $2 AND deleted_at IS NULL \
         AND status IN ('pending', 'confirmed', 'checked_in') AND ends_at > $3 AND blocked_from >= $4"
    );
    Ok(reader.one(&sql, &params![company, id, now, earliest(now)], |row| row.i64(0))?)
}

/// Ids of appointments that begin in `window` and whose customers have not been reminded.
pub fn unreminded(reader: &mut Reader<'_>, company: CompanyId, window: Span, limit: i64) -> Result<Vec<Uuid>> {
    let rows = reader.query(
        "SELECT id FROM booking_appointments WHERE company_id = $1 AND deleted_at IS NULL AND starts_at >= $2 AND starts_at < $3 \
         AND status IN ('pending', 'confirmed') AND reminded_at IS NULL ORDER BY starts_at, id LIMIT $4",
        &params![company, window.from, window.to, limit],
        |row| row.uuid(0),
    )?;
    Ok(rows)
}

/// A customer by telephone or e-mail address.
pub fn customer_by_contact(
    reader: &mut Reader<'_>,
    company: CompanyId,
    phone: Option<&str>,
    email: Option<&str>,
) -> Result<Option<Uuid>> {
    for (column, value) in [("phone", phone), ("email", email)] {
        let Some(value) = value else { continue };
        let sql = format!(
            "SELECT id FROM booking_customers WHERE company_id = $1 AND deleted_at IS NULL AND {column} = $2 ORDER BY id LIMIT 1"
        );
        if let Some(id) = reader.first(&sql, &params![company, value], |row| row.uuid(0))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Appointments of a customer that wait for an answer.
pub fn count_pending(reader: &mut Reader<'_>, company: CompanyId, customer: Uuid, now: Timestamp) -> Result<i64> {
    let count = reader.one(
        "SELECT COUNT(*) FROM booking_appointments WHERE company_id = $1 AND customer = $2 AND deleted_at IS NULL \
         AND status = 'pending' AND starts_at > $3",
        &params![company, customer, now],
        |row| row.i64(0),
    )?;
    Ok(count)
}
