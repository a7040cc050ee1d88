//! The base record: the columns that every resource has (spec/loop.md 5.7), and their places in every SELECT.

/// Places of the base columns in a record's values and in every SELECT; the resource's own fields follow from [`FIRST_FIELD`].
pub const COMPANY: usize = 0;
pub const ID: usize = 1;
pub const WORKSPACE: usize = 2;
pub const NUMBER: usize = 3;
pub const TITLE: usize = 4;
pub const DESCRIPTION: usize = 5;
pub const STATUS: usize = 6;
pub const DATA: usize = 7;
pub const TAGS: usize = 8;
pub const EXTERNAL_ID: usize = 9;
pub const CREATED_BY: usize = 10;
pub const UPDATED_BY: usize = 11;
pub const CREATED_AT: usize = 12;
pub const UPDATED_AT: usize = 13;
pub const DELETED_AT: usize = 14;
pub const VERSION: usize = 15;
pub const FIRST_FIELD: usize = 16;

/// Columns in the order of the places above.
pub const COLUMNS: [&str; FIRST_FIELD] = [
    "company_id",
    "id",
    "workspace_id",
    "number",
    "title",
    "description",
    "status",
    "data",
    "tags",
    "external_id",
    "created_by",
    "updated_by",
    "created_at",
    "updated_at",
    "deleted_at",
    "version",
];

/// Their names on the wire.
pub const NAMES: [&str; FIRST_FIELD] = {
    let mut names = COLUMNS;
    names[COMPANY] = "company";
    names[WORKSPACE] = "workspace";
    names
};

/// Characters of a title.
pub const TITLE_MAX: usize = 255;
/// Characters of a description.
pub const DESCRIPTION_MAX: usize = 20_000;
/// Characters of an external id.
pub const EXTERNAL_ID_MAX: usize = 255;

/// Words that mean something in a list's query. A field may have such a name (a revision has a `page`), but is then filtered with a suffix
/// only: `page__in=…`.
pub const QUERY_WORDS: [&str; 8] = ["page", "page_size", "search", "ordering", "expand", "fields", "deleted", "format"];

/// Columns of a table of lines that are not the definition's.
pub const LINE_COLUMNS: [&str; 4] = ["company_id", "parent_id", "position", "id"];
