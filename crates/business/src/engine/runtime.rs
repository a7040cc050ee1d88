//! [`ResourceRuntime`]: a definition made ready: places of columns, SQL texts, JSON keys, names of permissions and events.

use std::collections::HashMap;

use super::tables::UniqueRule;

use crate::define::base::{
    COLUMNS, COMPANY, CREATED_AT, CREATED_BY, DATA, DELETED_AT, DESCRIPTION, EXTERNAL_ID, FIRST_FIELD, ID, NAMES,
    NUMBER, STATUS, TAGS, TITLE, UPDATED_AT, UPDATED_BY, VERSION, WORKSPACE,
};
use crate::define::render::Style;
use crate::define::{Field, Kind, Lines, Module, Resource, Stored};

/// One column: its name on the wire and in SQL, and how it is kept and written.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// Quoted where it comes from a definition.
    pub sql: String,
    pub kind: Kind,
    pub stored: Stored,
    pub style: Style,
    /// `,"name":`
    pub(crate) key: Vec<u8>,
}

/// A definition made ready to be worked with.
#[derive(Debug)]
pub struct ResourceRuntime {
    pub module: String,
    /// `booking/appointments`
    pub path: String,
    /// With whatever the engine adds: a currency where there is money.
    pub resource: Resource,
    pub schema: String,
    pub table: String,
    /// Name of the counter row.
    pub counter: String,
    pub columns: Vec<Column>,
    pub lines: Vec<LinesRuntime>,
    pub permissions: Permissions,
    pub(crate) places: HashMap<String, usize>,
    /// Places in the order in which the JSON has them.
    pub(crate) order: Vec<usize>,
    /// After this many of `order` the lines are written.
    pub(crate) lines_after: usize,
    pub(crate) sql: Statements,
    /// Which fields to blame when a unique index refuses.
    pub(crate) unique_rules: Vec<UniqueRule>,
    /// Whether any index can refuse a plain row.
    pub(crate) can_collide: bool,
    /// The place of a person's telephone number.
    pub(crate) phone: Option<usize>,
    /// Records that sum this resource up: path of the parent and the place of the reference to it.
    pub(crate) parents: Vec<(String, usize)>,
    /// Who finds the records; everybody when `None`.
    pub(crate) audience: Option<super::audience::AudienceSql>,
}

/// `<module>.<resource>.<verb>`
#[derive(Debug)]
pub struct Permissions {
    pub view: String,
    pub create: String,
    pub update: String,
    pub delete: String,
}

/// The rows below a record.
#[derive(Debug)]
pub struct LinesRuntime {
    pub name: String,
    pub lines: Lines,
    pub table: String,
    /// The fields' columns; in SELECTs they follow the id.
    pub columns: Vec<Column>,
    pub(crate) places: HashMap<String, usize>,
    pub(crate) key: Vec<u8>,
    pub(crate) select: String,
    pub(crate) select_many: String,
    pub(crate) insert: String,
    pub(crate) clear: String,
}

/// SQL that is the same at every request.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    pub columns: String,
    /// `$1` company, `$2` id; living rows.
    pub one: String,
    /// As `one`, deleted rows too.
    pub any: String,
    /// `$1` company, `$2` limit, `$3` offset; newest first.
    pub page: String,
    pub insert: String,
    /// `$1` company, `$2` id, `$3` the version it must have; then every other changeable column.
    pub update: String,
    pub by_external_id: String,
}

impl ResourceRuntime {
    /// Makes `resource` of `module` ready. `all` decides the schema's name.
    pub fn compile(module: &Module, resource: &Resource, all: &[Module]) -> Self {
        let resource = resource.clone().completed();
        let mut columns: Vec<Column> = (0..FIRST_FIELD).map(base_column).collect();
        columns.extend(resource.fields.iter().map(field_column));
        let places: HashMap<String, usize> =
            columns.iter().enumerate().map(|(place, column)| (column.name.clone(), place)).collect();
        for column in &mut columns[FIRST_FIELD..] {
            column.style = Style::of(&column.kind, |name| places.get(name).map(|place| (*place, false)));
        }
        let table = format!("{}_{}", module.slug, resource.slug).replace('-', "_");
        let lines = resource.lines.iter().map(|lines| LinesRuntime::compile(&table, lines, &places)).collect();
        let mut order = vec![ID, COMPANY, WORKSPACE];
        if resource.prefix.is_some() {
            order.push(NUMBER);
        }
        order.extend([TITLE, DESCRIPTION, STATUS, DATA, TAGS, EXTERNAL_ID]);
        order.extend(FIRST_FIELD..columns.len());
        let lines_after = order.len();
        order.extend([CREATED_BY, UPDATED_BY, CREATED_AT, UPDATED_AT, DELETED_AT, VERSION]);
        let permission = |verb: &str| format!("{}.{}.{verb}", module.slug, resource.slug);
        let unique_rules = super::tables::unique_rules(&table, &resource);
        Self {
            path: format!("{}/{}", module.slug, resource.slug),
            counter: format!("{}.{}", module.slug, resource.slug),
            schema: crate::define::schema_name(module, &resource, all),
            permissions: Permissions {
                view: permission("view"),
                create: permission("create"),
                update: permission("update"),
                delete: permission("delete"),
            },
            module: module.slug.clone(),
            sql: Statements::new(&table, &columns),
            can_collide: unique_rules.len() > 1,
            unique_rules,
            phone: places.get("phone").copied(),
            parents: Vec::new(),
            audience: None,
            resource,
            table,
            columns,
            lines,
            places,
            order,
            lines_after,
        }
    }

    /// The place of a field by its name on the wire.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }
    /// The resource's own field at `place`.
    pub fn field_at(&self, place: usize) -> Option<&Field> {
        place.checked_sub(FIRST_FIELD).and_then(|index| self.resource.fields.get(index))
    }
    /// The resource's own fields with their places.
    pub fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.resource.fields.iter().enumerate().map(|(index, field)| (index + FIRST_FIELD, field))
    }
    /// `<module>.<resource>.action:<name>`
    pub fn action_permission(&self, action: &str) -> String {
        format!("{}.{}.action:{action}", self.module, self.resource.slug)
    }
    /// `booking.appointments.confirmed`
    pub fn event(&self, past_tense: &str) -> String {
        [&*self.module, &*self.resource.slug, past_tense].join(".")
    }
}

impl LinesRuntime {
    fn compile(owner: &str, lines: &Lines, owner_places: &HashMap<String, usize>) -> Self {
        let mut columns = vec![Column::new("id", "id", Kind::User)];
        columns.extend(lines.fields.iter().map(field_column));
        let places: HashMap<String, usize> =
            columns.iter().enumerate().map(|(place, column)| (column.name.clone(), place)).collect();
        for column in &mut columns[1..] {
            // a line's own currency before its owner's
            column.style = Style::of(&column.kind, |name| {
                let own = places.get(name).map(|place| (*place, false));
                own.or_else(|| owner_places.get(name).map(|place| (*place, true)))
            });
        }
        let table = format!("{owner}_{}", lines.name);
        let names: Vec<&str> = columns.iter().map(|column| column.sql.as_str()).collect();
        let names = names.join(", ");
        let markers: Vec<String> = (4..4 + columns.len()).map(|n| format!("${n}")).collect();
        Self {
            name: lines.name.clone(),
            select: format!("SELECT {names} FROM {table} WHERE company_id = $1 AND parent_id = $2 ORDER BY position"),
            select_many: format!("SELECT {names}, parent_id FROM {table} WHERE company_id = $1 AND parent_id IN "),
            insert: format!(
                "INSERT INTO {table} (company_id, parent_id, position, {names}) VALUES ($1, $2, $3, {})",
                markers.join(", ")
            ),
            clear: format!("DELETE FROM {table} WHERE company_id = $1 AND parent_id = $2"),
            key: key(&lines.name),
            lines: lines.clone(),
            table,
            columns,
            places,
        }
    }
}

impl Column {
    fn new(name: &str, sql: &str, kind: Kind) -> Self {
        Self {
            key: key(name),
            stored: kind.stored(),
            style: Style::of(&kind, |_| None),
            name: name.into(),
            sql: sql.into(),
            kind,
        }
    }
}

impl Statements {
    fn new(table: &str, columns: &[Column]) -> Self {
        let names: Vec<&str> = columns.iter().map(|column| column.sql.as_str()).collect();
        let names = names.join(", ");
        let markers: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        let changes: Vec<String> = changeable(columns.len())
            .enumerate()
            .map(|(index, place)| format!("{} = ${}", columns[place].sql, index + 4))
            .collect();
        Self {
            one: format!("SELECT {names} FROM {table} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL"),
            any: format!("SELECT {names} FROM {table} WHERE company_id = $1 AND id = $2"),
            page: format!(
                "SELECT {names} FROM {table} WHERE company_id = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT $2 OFFSET $3"
            ),
            insert: format!("INSERT INTO {table} ({names}) VALUES ({})", markers.join(", ")),
            update: format!(
                "UPDATE {table} SET {} WHERE company_id = $1 AND id = $2 AND version = $3",
                changes.join(", ")
            ),
            by_external_id: format!(
                "SELECT {names} FROM {table} WHERE company_id = $1 AND external_id = $2 AND deleted_at IS NULL"
            ),
            columns: names,
        }
    }
}

/// Places of the columns that an update writes.
pub(crate) fn changeable(width: usize) -> impl Iterator<Item = usize> {
    (0..width).filter(|place| ![COMPANY, ID, NUMBER, CREATED_BY, CREATED_AT].contains(place))
}

fn key(name: &str) -> Vec<u8> {
    format!(",\"{name}\":").into_bytes()
}

fn field_column(field: &Field) -> Column {
    Column::new(&field.name, &format!("\"{}\"", field.name), field.kind.clone())
}

fn base_column(place: usize) -> Column {
    let kind = match place {
        COMPANY | VERSION => Kind::Integer { min: 1, max: i64::MAX },
        ID | CREATED_BY | UPDATED_BY | WORKSPACE => Kind::User,
        TITLE => Kind::Text { max: crate::define::base::TITLE_MAX },
        DESCRIPTION => Kind::Text { max: crate::define::base::DESCRIPTION_MAX },
        EXTERNAL_ID => Kind::Text { max: crate::define::base::EXTERNAL_ID_MAX },
        DATA => Kind::Object,
        TAGS => Kind::Tags,
        CREATED_AT | UPDATED_AT | DELETED_AT => Kind::DateTime,
        _ => Kind::Code,
    };
    let mut column = Column::new(NAMES[place], COLUMNS[place], kind);
    if place == COMPANY {
        column.style = Style::Company;
    }
    column
}
