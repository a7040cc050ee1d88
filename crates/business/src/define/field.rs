//! [`Field`]: one typed value of a record, and the functions that make one: `text("channel", 40)`.

use serde_json::Value as Json;

use super::kind::Kind;
use super::rule::{DeriveFn, Rule};

/// One typed field of a resource, of its lines or of an action's input.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name on the wire and in the table.
    pub name: String,
    pub kind: Kind,
    /// Must be given when a record is made.
    pub required: bool,
    /// `null` may be given. Follows from the rest unless [`Field::nullable`] says so: a field with neither `required` nor a default is nullable.
    pub nullable: Option<bool>,
    pub default: Option<Preset>,
    /// No two live records of a company may share the value.
    pub unique: bool,
    /// One sentence for the API reference and the console.
    pub help: String,
    /// Set by the server only; ignored in a body, so that a client may send back what it got.
    pub read_only: bool,
    /// Given at creation, never changed afterwards.
    pub fixed: bool,
    /// May stand in a list's query.
    pub filterable: bool,
    /// Gets an index of its own (references always have one). Filters and orders.
    pub indexed: bool,
    /// Gets an index of only the rows that have a value: filters, and costs nothing where there is none.
    pub sparse: bool,
    pub example: Option<Json>,
    /// For an action's input: the record's field that takes the value. The record's field of the same name does so by itself.
    pub goes_to: Option<String>,
    /// For an action's input: it is for the action's rules and is written into no field, not even the one of the same name.
    pub input_only: bool,
    /// Computed from the rest of the record at every write.
    pub derived: Option<Rule<DeriveFn>>,
    /// Summed up from the record's lines or from other records at every write of those.
    pub rollup: Option<RollUp>,
    /// What it tells of a person, if it does: an erasure of the person takes it out.
    pub personal: Option<Personal>,
}

/// What a field tells of a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Personal {
    /// An address or number by which the person is known and found, or a text that may hold one.
    Contact,
    Name,
    /// What documents say of whom they are for: a postal address, a taxpayer's number. Stays with the name where one that a law keeps
    /// refers to the record.
    Particular,
    /// Anything else that is theirs: notes about them, what they wrote.
    Other,
    /// A reference to whom the record is about: what it tells of them goes with them.
    Subject,
}

/// What an absent field becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Preset {
    Value(Json),
    CompanyCurrency,
    CompanyTimezone,
    CompanyLanguage,
    /// The moment of the request (date-time) or its day in the company's time zone (date).
    Now,
    /// Whoever makes the record.
    Caller,
}

/// A value summed up from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub enum RollUp {
    /// The sum of `field` over the record's own `lines`.
    Lines { lines: String, field: String },
    /// The sum of `field` (or the number of rows when `None`) over the live records of `resource` whose reference `by` is this record and whose status is in
    /// `statuses` (any status when empty).
    Records { resource: String, by: String, field: Option<String>, statuses: Vec<String> },
}

impl Field {
    pub fn new(name: &str, kind: Kind) -> Self {
        let filterable = !matches!(kind, Kind::LongText | Kind::Json | Kind::Object);
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            nullable: None,
            default: None,
            unique: false,
            help: String::new(),
            read_only: false,
            fixed: false,
            filterable,
            indexed: false,
            sparse: false,
            example: None,
            goes_to: None,
            input_only: false,
            derived: None,
            rollup: None,
            personal: None,
        }
    }

    /// Marks what the field tells of a person.
    pub fn personal(mut self, what: Personal) -> Self {
        self.personal = Some(what);
        self
    }

    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Lets `null` be given even though there is a default, or although it is required to be present.
    pub fn nullable(mut self) -> Self {
        self.nullable = Some(true);
        self
    }
    pub fn default(mut self, value: impl Into<Json>) -> Self {
        self.default = Some(Preset::Value(value.into()));
        self
    }
    pub fn preset(mut self, preset: Preset) -> Self {
        self.default = Some(preset);
        self
    }
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }
    pub fn help(mut self, help: &str) -> Self {
        self.help = help.to_owned();
        self
    }
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }
    pub fn not_filterable(mut self) -> Self {
        self.filterable = false;
        self
    }
    pub fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }
    pub fn example(mut self, example: impl Into<Json>) -> Self {
        self.example = Some(example.into());
        self
    }
    pub fn goes_to(mut self, field: &str) -> Self {
        self.goes_to = Some(field.to_owned());
        self
    }
    /// Makes an action's input one that its rules read and the record does not take.
    pub fn input_only(mut self) -> Self {
        self.input_only = true;
        self
    }
    /// For an action's input: the record's field that takes the value, if the record has it; `None` when it is for the rules only.
    pub fn written_to(&self) -> Option<&str> {
        (!self.input_only).then(|| self.goes_to.as_deref().unwrap_or(&self.name))
    }
    /// Lower bound of an integer.
    pub fn min(mut self, least: i64) -> Self {
        if let Kind::Integer { min, .. } = &mut self.kind {
            *min = least;
        }
        self
    }
    /// Upper bound of an integer.
    pub fn max(mut self, most: i64) -> Self {
        if let Kind::Integer { max, .. } = &mut self.kind {
            *max = most;
        }
        self
    }
    /// For money: the field that holds the currency, when it is not `currency`.
    pub fn currency_in(mut self, field: &str) -> Self {
        if let Kind::Money { currency } = &mut self.kind {
            *currency = field.to_owned();
        }
        self
    }
    /// Makes the field read-only and computes it at every write of the record.
    pub fn derived(mut self, rule: DeriveFn) -> Self {
        self.read_only = true;
        self.derived = Some(Rule::of(rule));
        self
    }
    /// Makes the field read-only and the sum of `field` over the record's own `lines`.
    pub fn sum_of_lines(mut self, lines: &str, field: &str) -> Self {
        self.read_only = true;
        self.rollup = Some(RollUp::Lines { lines: lines.to_owned(), field: field.to_owned() });
        self
    }
    /// Makes the field read-only and the sum of `field` over the live records of `resource` that refer to this one by `by` and are in one of `statuses`.
    pub fn sum_of(mut self, resource: &str, by: &str, field: &str, statuses: &[&str]) -> Self {
        self.read_only = true;
        self.rollup = Some(RollUp::Records {
            resource: resource.to_owned(),
            by: by.to_owned(),
            field: Some(field.to_owned()),
            statuses: owned(statuses),
        });
        self
    }
    /// Makes the field read-only and the number of live records of `resource` that refer to this one by `by` and are in one of `statuses`.
    pub fn count_of(mut self, resource: &str, by: &str, statuses: &[&str]) -> Self {
        self.read_only = true;
        self.rollup = Some(RollUp::Records {
            resource: resource.to_owned(),
            by: by.to_owned(),
            field: None,
            statuses: owned(statuses),
        });
        self
    }

    /// Whether `null` is an accepted value.
    pub fn allows_null(&self) -> bool {
        self.nullable.unwrap_or(!self.required && self.default.is_none())
    }
    /// Whether a client may set it.
    pub fn is_writable(&self) -> bool {
        !self.read_only
    }
}

pub(crate) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// One line of at most `max` characters.
pub fn text(name: &str, max: usize) -> Field {
    Field::new(name, Kind::Text { max })
}
pub fn long_text(name: &str) -> Field {
    Field::new(name, Kind::LongText)
}
pub fn slug(name: &str) -> Field {
    Field::new(name, Kind::Slug)
}
pub fn email(name: &str) -> Field {
    Field::new(name, Kind::Email)
}
pub fn url(name: &str) -> Field {
    Field::new(name, Kind::Url)
}
pub fn phone(name: &str) -> Field {
    Field::new(name, Kind::Phone)
}
pub fn boolean(name: &str) -> Field {
    Field::new(name, Kind::Boolean)
}
/// Any 64-bit integer; narrow it with [`Field::min`] and [`Field::max`].
pub fn integer(name: &str) -> Field {
    Field::new(name, Kind::Integer { min: i64::MIN, max: i64::MAX })
}
pub fn decimal(name: &str, scale: u32) -> Field {
    Field::new(name, Kind::Decimal { scale })
}
/// An amount in the currency of the record's field `currency`, which the resource gets by itself when it declares none.
pub fn money(name: &str) -> Field {
    Field::new(name, Kind::Money { currency: "currency".into() })
}
/// A currency code; the company's own currency when absent.
pub fn currency(name: &str) -> Field {
    Field::new(name, Kind::Currency)
        .preset(Preset::CompanyCurrency)
        .help("ISO 4217 code of the currency; the company's own when absent.")
        .example("RWF")
}
pub fn percent(name: &str) -> Field {
    Field::new(name, Kind::Percent)
}
pub fn date(name: &str) -> Field {
    Field::new(name, Kind::Date)
}
pub fn date_time(name: &str) -> Field {
    Field::new(name, Kind::DateTime)
}
pub fn time_of_day(name: &str) -> Field {
    Field::new(name, Kind::TimeOfDay)
}
pub fn minutes(name: &str) -> Field {
    Field::new(name, Kind::Minutes)
}
pub fn choice(name: &str, choices: &[&str]) -> Field {
    Field::new(name, Kind::Choice { choices: owned(choices) })
}
pub fn language(name: &str) -> Field {
    Field::new(name, Kind::Language)
}
pub fn timezone(name: &str) -> Field {
    Field::new(name, Kind::Timezone)
}
/// One record of `target`, written `module/resource`.
pub fn reference(name: &str, target: &str) -> Field {
    Field::new(name, Kind::Reference { target: target.to_owned() })
}
/// Several records of `target`.
pub fn references(name: &str, target: &str) -> Field {
    Field::new(name, Kind::References { target: target.to_owned() })
}
pub fn user(name: &str) -> Field {
    Field::new(name, Kind::User)
}
pub fn json(name: &str) -> Field {
    Field::new(name, Kind::Json)
}
pub fn object(name: &str) -> Field {
    Field::new(name, Kind::Object)
}
pub fn tags(name: &str) -> Field {
    Field::new(name, Kind::Tags)
}
pub fn code(name: &str) -> Field {
    Field::new(name, Kind::Code)
}
