//! Protector: things with a code that anybody can check: is it genuine, recalled, stolen?

mod batch;
mod code;
mod public;
mod store;

use crate::define::*;

pub fn module() -> Module {
    Module::new("protector", "Protector")
        .description(
            "Codes on goods and property that anybody can check: genuine, recalled, blocked, expired or stolen.",
        )
        .resource(owners())
        .resource(items())
        .resource(batches())
        .resource(codes())
        .resource(verifications())
        .resource(reports())
        .resource(certificates())
        .setting(
            boolean("public")
                .default(true)
                .help("Whether strangers may check and report the company's codes; to them they are unknown when not."),
        )
        .operation(public::verify())
        .operation(public::report())
        .tables(|_| store::tables())
        .install(|engine| Box::pin(async move { store::install(&engine).await }))
}

fn owners() -> Resource {
    Resource::unnumbered("owners")
        .help("Somebody who owns protected things. Never shown to strangers.")
        .personal()
        .title_from(&["name"])
        .field(text("name", 255).personal(Personal::Name).help("Name of the owner; the title when none is given."))
        .field(phone("phone").personal(Personal::Contact).sparse().help("Telephone."))
        .field(email("email").personal(Personal::Contact).sparse().help("E-mail address."))
        .field(user("user").help("The account of this person, if there is one."))
        .search(&["title", "name", "phone", "email"])
}

fn items() -> Resource {
    let held = &["active", "recovered"];
    Resource::new("items", "ITM")
        .help("A thing, or a kind of thing, that is protected. Strangers who check its code see its name and brand.")
        .title_from(&["name"])
        .field(text("name", 255).help("What it is; the title when none is given.").example("Ihema camping tent"))
        .field(text("brand", 120).help("Who makes it.").example("Ihema"))
        .field(text("model", 120).help("Which model."))
        .field(text("serial", 120).sparse().help("Its serial number. Never shown to strangers."))
        .field(reference("owner", "protector/owners").help("Whose it is. Never shown to strangers."))
        .field(json("photos").help("Addresses of pictures."))
        .field(text("incident", 2_000).read_only().help("What was said when it was reported lost or stolen."))
        .states(&["active", "lost", "stolen", "recovered", "retired"])
        .action(
            Action::to("report-lost", held, "lost")
                .input(text("reason", 2_000).goes_to("incident").help("What happened."))
                .routine()
                .help("It is missing."),
        )
        .action(
            Action::to("report-stolen", &["active", "lost", "recovered"], "stolen")
                .input(text("reason", 2_000).goes_to("incident").help("What happened."))
                .routine()
                .help("It was stolen: its codes warn whoever checks them."),
        )
        .action(Action::to("recover", &["lost", "stolen"], "recovered").routine().help("It is back."))
        .action(
            Action::new("transfer", held)
                .input(reference("to", "protector/owners").required().goes_to("owner").help("The new owner."))
                .help("It has a new owner."),
        )
        .action(Action::to("retire", &["active", "lost", "stolen", "recovered"], "retired").help("It is out of use."))
        .search(&["title", "description", "number", "name", "brand", "model", "serial"])
}

fn batches() -> Resource {
    Resource::new("batches", "BAT")
        .help("A run of codes for goods that were made together.")
        .field(reference("item", "protector/items").help("What the codes are put on."))
        .field(text("item_kind", 120).help("What kind of thing it is."))
        .field(code("prefix").help("What every code begins with: letters and digits.").example("IHEMA"))
        .field(integer("count").min(1).max(batch::MOST_CODES).default(100).help("How many codes: 1 to 2000."))
        .field(date("made_on").help("When the goods were made."))
        .field(date("expires_on").help("Last day on which the codes are genuine."))
        .field(text("recall_reason", 2_000).read_only().help("Why it was recalled."))
        .field(integer("code_count").default(0).read_only().help("How many codes were made for it."))
        .states(&["draft", "generated", "active", "recalled"])
        .action(
            Action::to("generate-codes", &["draft"], "generated")
                .effect(batch::count)
                .after(batch::generate)
                .event("codes_generated")
                .help("Make its codes; they are inactive at first."),
        )
        .action(Action::to("activate", &["generated"], "active").after(batch::activate).help("All its codes work."))
        .action(
            Action::to("recall", &["generated", "active"], "recalled")
                .input(text("reason", 2_000).goes_to("recall_reason").help("Why."))
                .help("Warn whoever checks one of its codes."),
        )
        .check(batch::check)
}

fn codes() -> Resource {
    Resource::unnumbered("codes")
        .help("One code, on one thing. Upper-case letters and digits; made by the server when none is given.")
        .title_from(&["code"])
        .field(
            text("code", 64)
                .fixed()
                .unique()
                .help("The code; blanks, dashes and case do not count. No two codes of this installation are alike."),
        )
        .field(reference("batch", "protector/batches").fixed().help("The run that it belongs to."))
        .field(reference("item", "protector/items").help("What it is put on; the batch's item when absent."))
        .field(text("block_reason", 2_000).read_only().help("Why it was blocked."))
        .field(date_time("first_seen_at").read_only().help("When it was first checked."))
        .field(date_time("last_seen_at").read_only().help("When it was last checked."))
        .field(integer("scans").default(0).read_only().help("How often it was checked."))
        .states(&["inactive", "active", "blocked"])
        .action(Action::to("activate", &["inactive"], "active").help("From now on it is genuine."))
        .action(
            Action::new("assign", &["inactive", "active"])
                .input(reference("item", "protector/items").required().help("What it is put on."))
                .routine()
                .help("Put it on a thing."),
        )
        .action(
            Action::to("block", &["inactive", "active"], "blocked")
                .input(text("reason", 2_000).goes_to("block_reason").help("Why."))
                .help("It was copied or misused: warn whoever checks it."),
        )
        .search(&["title", "code"])
        .before_create(code::complete)
}

fn verifications() -> Resource {
    Resource::unnumbered("verifications")
        .help("One check of a code by somebody. The address is kept as a hash only.")
        .title_optional()
        .field(reference("code", "protector/codes").help("The code that was checked."))
        .field(date_time("at").indexed().help("When."))
        .field(text("ip_hash", 64).help("The same for the same address; tells nothing else."))
        .field(text("place", 120).help("Where, as the app that checked it said."))
        .field(choice("result", &public::RESULTS).help("What was answered."))
        .states(&["kept"])
        .search(&["place"])
        .read_only()
}

fn reports() -> Resource {
    Resource::new("reports", "RPT")
        .help("What somebody told about a code: a fake, a find.")
        .title_from(&["kind"])
        .field(text("code", 64).help("The code as it was reported."))
        .field(reference("code_record", "protector/codes").help("The code, when it is one of ours."))
        .field(choice("kind", &["fake", "found", "other"]).default("other").help("What it is about."))
        .field(text("contact", 255).personal(Personal::Contact).help("How to reach whoever reported it."))
        .field(url("photo").help("Address of a picture."))
        .field(text("outcome", 2_000).read_only().help("What came of it."))
        .states(&["new", "reviewed", "closed"])
        .action(Action::to("review", &["new"], "reviewed").routine().help("Somebody looked at it."))
        .action(
            Action::to("close", &["new", "reviewed"], "closed")
                .input(text("outcome", 2_000).help("What came of it."))
                .routine()
                .help("Nothing is left to do."),
        )
        .search(&["title", "description", "number", "code"])
}

fn certificates() -> Resource {
    Resource::new("certificates", "CRT")
        .help("A paper that says that a thing is genuine, or whose it is.")
        .field(reference("item", "protector/items").help("What it is about."))
        .field(reference("code", "protector/codes").help("The code on it."))
        .field(reference("owner", "protector/owners").personal(Personal::Subject).help("To whom it is given."))
        .field(date("valid_until").help("Last day it holds."))
        .field(date_time("issued_at").read_only().help("When it was issued."))
        .field(text("revoke_reason", 2_000).read_only().help("Why it was revoked."))
        .states(&["draft", "issued", "revoked"])
        .action(Action::to("issue", &["draft"], "issued").stamps("issued_at").help("Give it out."))
        .action(
            Action::to("revoke", &["issued"], "revoked")
                .input(text("reason", 2_000).goes_to("revoke_reason").help("Why."))
                .help("It holds no longer."),
        )
}
