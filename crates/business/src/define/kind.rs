//! [`Kind`]: what a field may hold. Everything that depends on the kind of a field is one `match` in one of this file's
//! neighbours: `parse.rs` (JSON in), `render.rs` (JSON out), `filter.rs` (query in), `schema.rs` (OpenAPI).

/// What a field holds, and so its column, its validation, its JSON and its filters.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One line of at most `max` characters.
    Text {
        max: usize,
    },
    /// Prose of at most [`LONG_TEXT_MAX`] characters.
    LongText,
    /// Letters, digits, `-` and `_`; part of an address.
    Slug,
    /// An e-mail address, kept as written, compared as written.
    Email,
    /// An absolute `http` or `https` address.
    Url,
    /// A telephone number; kept as `+` and digits or as digits.
    Phone,
    Boolean,
    /// A whole number within `min..=max`.
    Integer {
        min: i64,
        max: i64,
    },
    /// An exact decimal; stored scaled by 10^`scale`, a string on the wire.
    Decimal {
        scale: u32,
    },
    /// An amount in minor units of the currency that stands in the record's field `currency`; a decimal string on the wire.
    Money {
        currency: String,
    },
    /// An ISO 4217 code, or `USDC`.
    Currency,
    /// A percentage with up to four digits after the point; `18` means 18 %.
    Percent,
    /// A calendar day, `2026-06-22`.
    Date,
    /// A moment, stored as UTC microseconds.
    DateTime,
    /// A time of day without a day, `08:30:00`.
    TimeOfDay,
    /// A length of time in whole minutes, never negative.
    Minutes,
    /// One of the named values.
    Choice {
        choices: Vec<String>,
    },
    /// A BCP 47 language tag such as `en`, `rw`, `fr-CA`.
    Language,
    /// A name of the IANA time-zone database such as `Africa/Kigali`.
    Timezone,
    /// The id of one record of `target` (`module/resource`) in the same company.
    Reference {
        target: String,
    },
    /// The ids of several records of `target`; kept as a JSON list.
    References {
        target: String,
    },
    /// The id of a user who is a member of the company.
    User,
    /// Any JSON value.
    Json,
    /// A JSON object.
    Object,
    /// A list of short words.
    Tags,
    /// A short code: letters, digits and `-_./`, no blanks.
    Code,
}

/// Characters of a [`Kind::LongText`]; a page of a CMS is the longest text we store in a column.
pub const LONG_TEXT_MAX: usize = 200_000;
/// Bytes of one JSON value in a record.
pub const JSON_MAX_BYTES: usize = 64 * 1024;
/// Ids in one [`Kind::References`] field.
pub const REFERENCES_MAX: usize = 200;
/// Digits after the point of a [`Kind::Percent`].
pub const PERCENT_SCALE: u32 = 4;

/// How a kind is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Text,
    Integer,
    Boolean,
    Uuid,
    Json,
}

impl Kind {
    /// The type of the column.
    pub fn stored(&self) -> Stored {
        match self {
            Kind::Text { .. }
            | Kind::LongText
            | Kind::Slug
            | Kind::Email
            | Kind::Url
            | Kind::Phone
            | Kind::Currency
            | Kind::Date
            | Kind::TimeOfDay
            | Kind::Choice { .. }
            | Kind::Language
            | Kind::Timezone
            | Kind::Code => Stored::Text,
            Kind::Integer { .. }
            | Kind::Decimal { .. }
            | Kind::Money { .. }
            | Kind::Percent
            | Kind::DateTime
            | Kind::Minutes => Stored::Integer,
            Kind::Boolean => Stored::Boolean,
            Kind::Reference { .. } | Kind::User => Stored::Uuid,
            Kind::References { .. } | Kind::Json | Kind::Object | Kind::Tags => Stored::Json,
        }
    }

    /// Whether values have an order that range filters and sorting can use.
    pub fn is_ordered(&self) -> bool {
        matches!(self.stored(), Stored::Text | Stored::Integer) && !matches!(self, Kind::LongText)
    }

    /// Whether the kind is words that a person may search in.
    pub fn is_words(&self) -> bool {
        matches!(
            self,
            Kind::Text { .. } | Kind::LongText | Kind::Slug | Kind::Email | Kind::Url | Kind::Phone | Kind::Code
        )
    }

    /// The resource that the ids in this field belong to.
    pub fn target(&self) -> Option<&str> {
        match self {
            Kind::Reference { target } | Kind::References { target } => Some(target),
            _ => None,
        }
    }
}
