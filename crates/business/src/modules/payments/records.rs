//! The definitions of what stands around invoices and payments.

use super::{
    ACCOUNTS, CUSTOMERS, INVOICES, METHODS, PAYMENTS, REFUNDS, SETTLEMENTS, TAX_LAW, invoice, link, payout, receipt,
};
use crate::define::*;

pub fn refunds() -> Resource {
    Resource::new("refunds", "RFD")
        .kept_by(TAX_LAW)
        .help("The note that money was given back. Made by the action refund of a payment, which sends no money by itself.")
        .title_optional()
        .field(reference("payment", PAYMENTS).help("What was given back of it."))
        .field(reference("invoice", INVOICES).help("The payment's invoice."))
        .field(reference("customer", CUSTOMERS).personal(Personal::Subject).help("Who got it."))
        .field(choice("method", &METHODS).default("cash").help("How it went back: as it was paid."))
        .field(currency("currency"))
        .field(money("amount").help("How much."))
        .field(text("reason", 500).help("Why."))
        .field(choice("settlement", &SETTLEMENTS).default("manual").help("How the money goes back: manual is by hand, whatever the method."))
        .field(date_time("refunded_at").indexed().help("When."))
        .states(&["succeeded"])
        .search(&["title", "number", "reason"])
        .read_only()
}

pub fn credit_notes() -> Resource {
    Resource::new("credit-notes", "CRN")
        .kept_by(TAX_LAW)
        .help("What was taken off an issued invoice. Made by the action credit-note of an invoice.")
        .title_optional()
        .field(reference("invoice", INVOICES).help("The invoice that it corrects."))
        .field(reference("customer", CUSTOMERS).personal(Personal::Subject).help("Whose invoice it is."))
        .field(currency("currency"))
        .field(money("amount").help("How much, tax included."))
        .field(money("tax_amount").help("The tax in it, in the invoice's own proportion."))
        .field(text("reason", 500).help("Why."))
        .field(date_time("issued_at").indexed().help("When."))
        .states(&["issued"])
        .search(&["title", "number", "reason"])
        .read_only()
}

pub fn receipts() -> Resource {
    Resource::new("receipts", "RCP")
        .kept_by(TAX_LAW)
        .help("Proof of a payment, issued when it succeeds. A fiscal service that hears payments.receipt.issued puts its number here.")
        .title_optional()
        .field(reference("payment", PAYMENTS).help("What was paid."))
        .field(reference("invoice", INVOICES).help("For what."))
        .field(reference("customer", CUSTOMERS).personal(Personal::Subject).help("By whom."))
        .field(choice("method", &METHODS).default("cash").help("How."))
        .field(currency("currency"))
        .field(money("amount").help("How much."))
        .field(boolean("sandbox").default(false).help("No real money moved."))
        .field(date_time("issued_at").indexed().help("When."))
        .field(integer("copies").default(0).help("Prints beyond the first."))
        .field(date_time("reprinted_at").help("When it was last printed again."))
        .field(text("fiscal_number", 120).sparse().help("Number that the revenue authority's device gave."))
        .field(text("fiscal_signature", 1_000).help("What proves that number."))
        .field(date_time("fiscalized_at").help("When the number was given."))
        .states(&["issued", "fiscalized"])
        .action(
            Action::new("reprint", &[])
                .stamps("reprinted_at")
                .effect(receipt::reprint)
                .routine()
                .help("Print it again, as a copy."),
        )
        .action(
            Action::to("fiscalize", &["issued"], "fiscalized")
                .input(text("fiscal_number", 120).required().help("Number that the revenue authority's device gave."))
                .input(text("fiscal_signature", 1_000).help("What proves that number."))
                .stamps("fiscalized_at")
                .help("For the fiscal integration: note the number that the revenue authority gave."),
        )
        .search(&["title", "number", "fiscal_number"])
        .read_only()
}

pub fn payment_links() -> Resource {
    Resource::new("payment-links", "PLK")
        .help("An address to send to a customer, who sees there what to pay.")
        .title_optional()
        .field(reference("invoice", INVOICES).fixed().help("What is to be paid; its due amount is shown."))
        .field(currency("currency"))
        .field(money("amount").help("How much, when there is no invoice."))
        .field(text("token", 64).read_only().unique().help("The secret part of the address."))
        .field(date_time("expires_at").help("Until when it can be used."))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").routine().help("Let it be used again."))
        .action(Action::to("deactivate", &["active"], "inactive").routine().help("Let nobody use it any more."))
        .search(&["title", "description", "number"])
        .before_create(link::prepare)
        .check(link::check)
}

pub fn payouts() -> Resource {
    Resource::new("payouts", "POT")
        .kept_by(TAX_LAW)
        .help("Money that leaves the company: submitted, approved, sent.")
        .title_optional()
        .field(choice("method", &METHODS).default("bank").help("How it is sent."))
        .field(currency("currency"))
        .field(money("amount").required().help("How much."))
        .field(text("beneficiary_name", 255).personal(Personal::Name).help("Who gets it."))
        .field(phone("beneficiary_phone").personal(Personal::Contact).help("Their mobile money number."))
        .field(text("beneficiary_account", 120).personal(Personal::Contact).help("Their bank account."))
        .field(text("reference", 120).help("Number of the transfer."))
        .field(user("submitted_by").read_only().help("Who asked for it."))
        .field(date_time("submitted_at").read_only().help("When."))
        .field(user("approved_by").read_only().help("Who approved it."))
        .field(date_time("approved_at").read_only().help("When."))
        .field(date_time("sent_at").read_only().indexed().help("When it was sent."))
        .field(text("reject_reason", 500).read_only().help("Why it was rejected."))
        .states(&["draft", "submitted", "approved", "sent", "rejected", "cancelled"])
        .action(
            Action::to("submit", &["draft"], "submitted")
                .stamps("submitted_at")
                .effect(payout::note_submitter)
                .routine()
                .help("Ask for approval."),
        )
        .action(
            Action::to("approve", &["submitted"], "approved")
                .stamps("approved_at")
                .guard(payout::require_other_eyes)
                .effect(payout::note_approver)
                .help("Allow it. With the company's setting payments.four_eyes, somebody else than who submitted it."),
        )
        .action(
            Action::to("reject", &["submitted", "approved"], "rejected")
                .input(text("reason", 500).required().goes_to("reject_reason").help("Why."))
                .help("Refuse it."),
        )
        .action(
            Action::to("send", &["approved"], "sent")
                .input(text("reference", 120).help("Number of the transfer."))
                .stamps("sent_at")
                .after(payout::post)
                .help("The money was sent."),
        )
        .action(Action::to("cancel", &["draft", "submitted"], "cancelled").routine().help("It is not needed."))
        .search(&["title", "description", "number", "beneficiary_name", "reference"])
        .before_update(payout::protect)
        .before_delete(payout::require_draft)
        .check(payout::check)
}

pub fn customers() -> Resource {
    Resource::new("customers", "CUS")
        .help("Somebody who is invoiced.")
        .personal()
        .title_from(&["name"])
        .field(text("name", 255).personal(Personal::Name).help("Name of the customer; the title when none is given."))
        .field(phone("phone").personal(Personal::Contact).sparse().help("Telephone.").example("+250788123456"))
        .field(email("email").personal(Personal::Contact).sparse().help("E-mail address."))
        .field(text("tax_id", 64).personal(Personal::Particular).sparse().help("Taxpayer number (TIN)."))
        .field(text("address", 500).personal(Personal::Particular).help("Postal address."))
        .field(
            integer("payment_terms_days").min(0).max(3_650).help("Days to pay; sets the due date of their invoices."),
        )
        .field(user("user").help("The account of this person, if there is one."))
        .search(&["title", "name", "phone", "email", "tax_id", "number"])
        .before_delete(invoice::require_no_documents)
}

pub fn tax_rates() -> Resource {
    Resource::unnumbered("tax-rates")
        .help("A tax rate that lines of invoices may name.")
        .title_from(&["name"])
        .field(text("name", 120).help("Name of the rate; the title when none is given.").example("VAT 18%"))
        .field(percent("rate").required().help("Percent, on the amount after discount.").example("18"))
        .field(code("tax_class").help("The revenue authority's class of it: A, B, C, D.").example("B"))
}

pub fn payment_methods() -> Resource {
    Resource::unnumbered("payment-methods")
        .help("A way to pay that the company offers, with what a customer must know to use it.")
        .title_from(&["name"])
        .field(text("name", 120).help("Name of it; the title when none is given.").example("MoMo Pay 123456"))
        .field(choice("kind", &METHODS).required().help("What it is."))
        .field(long_text("instructions").help("What the customer must do."))
        .field(text("account", 120).help("Account, merchant code or number to pay to."))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").routine().help("Offer it again."))
        .action(Action::to("deactivate", &["active"], "inactive").routine().help("Offer it no longer."))
}

pub fn accounts() -> Resource {
    Resource::unnumbered("accounts")
        .help("An account of the ledger. The accounts that the rules post to are made when they are first needed.")
        .title_optional()
        .field(code("code").unique().help("Number in the chart of accounts.").example("1200"))
        .field(
            choice("kind", &["asset", "liability", "income", "expense"])
                .default("asset")
                .help("Which side it grows on."),
        )
        .field(code("system_key").unique().help("What the rules call it."))
        .states(&["active"])
        .search(&["title", "code"])
        .ordering("code")
        .read_only()
}

pub fn ledger_entries() -> Resource {
    Resource::unnumbered("ledger-entries")
        .kept_by(TAX_LAW)
        .help("One side of a posting. Entries of one transaction balance; none is ever changed or deleted, mistakes are reversed.")
        .title_optional()
        .field(code("transaction").indexed().help("What was posted together."))
        .field(
            choice("kind", &["invoice", "payment", "refund", "credit_note", "void", "write_off", "payout"])
                .default("payment")
                .help("What caused it."),
        )
        .field(reference("account", ACCOUNTS).help("Where it stands."))
        .field(code("account_code").help("The account's number."))
        .field(currency("currency"))
        .field(money("debit").default(0).help("Left side."))
        .field(money("credit").default(0).help("Right side."))
        .field(reference("invoice", INVOICES).help("The invoice it belongs to."))
        .field(reference("payment", PAYMENTS).help("The payment it belongs to."))
        .field(reference("refund", REFUNDS).help("The refund it belongs to."))
        .field(reference("payout", "payments/payouts").help("The payout it belongs to."))
        .field(date_time("posted_at").indexed().help("When it was posted."))
        .states(&["posted"])
        .read_only()
}
