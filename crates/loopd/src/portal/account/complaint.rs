//! A refusal in the words of people: from the kernel's codes to the reader's language.

use loopd_types::{Kind, Problem};

use super::Words;

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// The form's field that it is about.
    pub field: Option<&'static str>,
    pub words: &'static str,
}

/// A refusal as sentences for people; never empty.
pub fn complaints(words: &Words, problem: &Problem) -> Vec<Complaint> {
    if problem.kind() == Kind::TooMany {
        return vec![Complaint { field: None, words: words.busy }];
    }
    let fields = problem.fields().iter().flat_map(|(name, errors)| errors.iter().map(move |error| (name, error)));
    let all: Vec<Complaint> = fields
        .map(|(name, error)| {
            let field = form_field(name);
            Complaint { field, words: of_field(words, field.unwrap_or_default(), &error.code) }
        })
        .collect();
    if !all.is_empty() {
        return all;
    }
    let said = &words.complaints;
    let whole = |words| vec![Complaint { field: None, words }];
    match problem.code() {
        // The page asks for nothing but the password of a person who is known already.
        "no_active_account" => vec![Complaint { field: Some("password"), words: said.password_wrong }],
        "email_taken" => whole(said.email_taken),
        "email_not_verified" => whole(said.email_not_verified),
        "company_suspended" => whole(said.company_suspended),
        "membership_suspended" => whole(said.membership_suspended),
        "invitation_lapsed" => whole(said.invitation_lapsed),
        "cannot_merge" => whole(said.cannot_merge),
        "last_owner" => whole(said.last_owner),
        _ => whole(said.refused),
    }
}

/// What the pages call a field of the kernel's.
fn form_field(name: &str) -> Option<&'static str> {
    match name {
        "username" => Some("username"),
        "password" | "new_password" => Some("password"),
        "email" => Some("email"),
        _ => None,
    }
}

fn of_field(words: &Words, field: &str, code: &str) -> &'static str {
    let said = &words.complaints;
    match (field, code) {
        (_, "required" | "blank" | "null") => said.required,
        (_, "max_length") => said.too_long,
        (_, "password_too_short") => said.password_too_short,
        (_, "password_too_common") => said.password_too_common,
        (_, "password_entirely_numeric") => said.password_entirely_numeric,
        (_, "password_too_similar") => said.password_too_similar,
        ("username", "unique") => said.username_taken,
        ("email", "unique") => said.email_taken,
        ("username", _) => said.username_invalid,
        ("email", _) => said.email_invalid,
        ("password", "invalid") => said.password_wrong,
        _ => said.refused,
    }
}
