//! `/account/sign-in/` and `/account/security/`: one page, on which people sign in and look after how they do.
//!
//! `ui/src/account.js` moves it, over the same operations that every program has. Its tokens stay in that page's memory and nowhere
//! else: no cookie that another site could ride on, nothing in storage that another script could read, and leaving the page signs out.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use super::super::assets;
use super::super::components::wordmark;
use super::super::document::Document;
use super::{Words, facts, head};

/// One script of ours that speaks to this server alone; pictures of a secret come as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The page in one language; whether somebody is signed in is for its script to know.
pub fn security(words: &'static Words) -> Document {
    let said = &words.security;
    let complaints: BTreeMap<&str, &str> = [
        ("required", words.complaints.required),
        ("blank", words.complaints.required),
        ("max_length", words.complaints.too_long),
        ("password_too_short", words.complaints.password_too_short),
        ("password_too_common", words.complaints.password_too_common),
        ("password_entirely_numeric", words.complaints.password_entirely_numeric),
        ("password_too_similar", words.complaints.password_too_similar),
        ("no_active_account", said.not_signed_in),
        ("throttled", words.busy),
        ("mfa_code_not_valid", said.code_wrong),
        ("mfa_token_not_valid", said.ended),
        ("passkey_not_valid", said.passkey_failed),
        ("ceremony_over", said.passkey_failed),
        ("passkeys_unavailable", said.passkey_failed),
        ("passkey", said.passkey_failed),
        ("oidc_not_valid", words.complaints.refused),
        ("offline", said.offline),
        ("ended", said.ended),
        ("email.invalid", words.complaints.email_invalid),
        ("new_email.invalid", words.complaints.email_invalid),
        ("old_password.invalid", words.complaints.password_wrong),
        ("password.invalid", words.complaints.password_wrong),
        ("code.invalid", said.code_wrong),
        ("email_taken", words.complaints.email_taken),
        ("saved", said.saved),
        ("ended_others", said.ended_others),
        ("password_changed", said.password_changed),
        ("email_asked", said.email_asked),
        ("unknown_device", said.unknown_device),
        ("is_on", said.is_on),
        ("is_off", said.is_off),
        ("verified", said.verified),
        ("unverified", said.unverified),
        ("with", said.with),
        ("refused", words.complaints.refused),
        ("session_confined", said.confined),
        ("account_not_linked", said.not_linked),
        ("no_account", said.no_account),
        ("company_access_denied", said.no_account),
        ("email_not_verified", said.not_vouched),
        ("provider_unavailable", said.provider_away),
        ("resent", said.resent),
    ]
    .into();
    let markup = html! {
        (DOCTYPE)
        html lang=(words.language) {
            head {
                (head(said.security))
                script type="module" src=(assets::url("account.js")) integrity=(assets::integrity("account.js")) {}
            }
            body.letter-page {
                main #main data-words=(json!(complaints)) {
                    p.mark { (wordmark()) }
                    noscript { p.complaint { (said.no_script) } }
                    (sign_in(words))
                    (second_step(words))
                    div #account hidden {
                        (overview(words))
                        (two_step(words))
                        (passkeys(words))
                        (devices(words))
                        (password(words))
                        (email(words))
                    }
                    (proof(words))
                }
            }
        }
    };
    Document::html(markup, POLICY).with("cache-control", "no-store").with("referrer-policy", "no-referrer")
}

/// A field of the form `of`, with the place for what is wrong with it.
fn field(of: &str, name: &str, label: &str, kind: &str, complete: &str) -> Markup {
    let id = format!("{of}-{name}");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) type=(kind) name=(name) autocomplete=(complete) maxlength="1024" autocapitalize="none" spellcheck="false"
                aria-describedby={ (id) "-error" };
            p.complaint id={ (id) "-error" } role="alert" hidden {}
        }
    }
}

fn button(words: &str) -> Markup {
    html! { button.button type="submit" { (words) } }
}

/// Where a form says what came of it: `alert` for what went wrong, `status` for what is done.
fn said() -> Markup {
    html! { p.complaint data-wrong role="alert" hidden {} p.done data-done role="status" hidden {} }
}

fn sign_in(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #sign-in aria-labelledby="sign-in-title" hidden {
            h1 #sign-in-title tabindex="-1" { (it.sign_in) }
            form.stack method="post" {
                (said())
                (field("sign-in", "email", words.address, "email", "username webauthn"))
                (field("sign-in", "password", words.password, "password", "current-password"))
                (button(it.sign_in))
                button.button.quiet type="button" data-act="passkey" { (it.with_passkey) }
                div.stack data-providers data-own=(it.own_provider) {}
            }
            p.below { a href="/account/forgot/" { (words.forgot) } }
        }
    }
}

fn second_step(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #second aria-labelledby="second-title" hidden {
            h1 #second-title tabindex="-1" { (it.second_title) }
            form.stack method="post" {
                (said())
                div.stack data-by="code" { p { (it.code_hint) } (field("second", "code", it.code, "text", "one-time-code")) (button(it.go_on)) }
                button.button data-by="passkey" type="button" data-act="passkey" { (it.use_passkey) }
                button.button.quiet type="button" data-act="again" { (it.start_again) }
            }
        }
    }
}

fn overview(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card aria-labelledby="account-title" {
            h1 #account-title tabindex="-1" { (it.security) }
            p { (it.signed_in_as) " " strong data-show="email" {} }
            p.note { (it.leaving) }
            button.button.quiet type="button" data-act="sign-out" { (it.sign_out) }
        }
    }
}

fn two_step(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #two-step aria-labelledby="two-step-title" {
            h2 #two-step-title { (it.two_step) " " span.badge data-show="two-step" {} }
            p { (it.two_step_hint) }
            (said())
            button.button type="button" data-act="set-up" { (it.set_up) }
            form.stack method="post" data-setup hidden {
                p { (it.scan) }
                p.picture { img data-show="qr" alt=(it.key) width="200" height="200"; }
                (facts(&[(it.key, "")]))
                (said())
                (field("two-step", "code", it.code, "text", "one-time-code"))
                (button(it.turn_on))
            }
            div.choices data-when="on" hidden {
                button.button.quiet type="button" data-act="new-codes" { (it.new_codes) }
                button.button.quiet type="button" data-act="turn-off" { (it.turn_off) }
            }
            p.note data-when="codes" hidden { (it.codes_left) ": " span data-show="codes-left" {} }
        }
        section.card #codes aria-labelledby="codes-title" hidden {
            h2 #codes-title tabindex="-1" { (it.codes_title) }
            p { (it.codes_hint) }
            ul.codes data-show="codes" {}
            button.button type="button" data-act="have-them" { (it.have_them) }
        }
    }
}

fn passkeys(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #passkeys aria-labelledby="passkeys-title" {
            h2 #passkeys-title tabindex="-1" { (it.passkeys) }
            p { (it.passkeys_hint) }
            (said())
            p.none data-when="none" hidden { (it.no_passkeys) }
            ul.rows data-rows {}
            template data-row {
                li {
                    form.row method="post" {
                        input type="text" name="name" aria-label=(it.passkey_name) maxlength="120" required;
                        span.note { (it.last_used) ": " span data-show="used" {} }
                        div.choices {
                            button.button.quiet type="submit" { (it.rename) }
                            button.button.quiet type="button" data-act="remove" { (it.remove) }
                        }
                    }
                }
            }
            form.stack method="post" data-add {
                (field("passkey", "name", it.passkey_name, "text", "off"))
                (button(it.add_passkey))
            }
        }
    }
}

fn devices(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #devices aria-labelledby="devices-title" {
            h2 #devices-title tabindex="-1" { (it.devices) }
            (said())
            ul.rows data-rows {}
            template data-row {
                li {
                    strong data-show="program" {}
                    " " span.badge data-tone="good" data-when="current" hidden { (it.this_one) }
                    span.note { span data-show="address" {} " · " (it.last_used) ": " span data-show="used" {} }
                    div.choices { button.button.quiet type="button" data-act="end" { (it.sign_out) } }
                }
            }
            button.button.quiet type="button" data-act="end-others" { (it.end_others) }
        }
    }
}

fn password(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #password aria-labelledby="password-title" {
            h2 #password-title { (it.password_title) }
            form.stack method="post" {
                (said())
                (field("password", "old_password", it.old_password, "password", "current-password"))
                (field("password", "new_password", words.new_password, "password", "new-password"))
                (button(it.change_password))
            }
        }
    }
}

fn email(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        section.card #email aria-labelledby="email-title" {
            h2 #email-title { (it.email_title) " " span.badge data-show="verified" {} }
            form.stack method="post" {
                (said())
                button.button.quiet type="button" data-act="resend" hidden { (it.resend) }
                (field("email", "new_email", it.new_email, "email", "email"))
                (field("email", "password", words.password, "password", "current-password"))
                (button(it.change_email))
            }
        }
    }
}

/// What touches a factor asks once more; whoever comes by single sign-on and has just done so may leave it empty.
fn proof(words: &Words) -> Markup {
    let it = &words.security;
    html! {
        dialog.card #proof aria-labelledby="proof-title" {
            h2 #proof-title { (it.proof_title) }
            form.stack method="dialog" {
                (said())
                (field("proof", "password", it.proof, "password", "current-password"))
                div.choices { (button(it.go_on)) button.button.quiet type="button" data-act="cancel" { (it.cancel) } }
            }
        }
    }
}
