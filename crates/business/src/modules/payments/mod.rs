//! Payments: invoices, payments, refunds, receipts and the ledger beneath them.
//!
//! Money is integers of minor units in one currency a document. Three rules hold everything together: totals are computed here and nowhere
//! else (`totals`), an invoice's row is locked before anything is decided about its balance (`invoice`), and every act posts balanced
//! entries in its own transaction (`ledger`). Mobile money is asked outside of transactions, under a reference stored before (`initiate`).

mod books;
mod initiate;
mod invoice;
mod ledger;
mod link;
pub mod mobile_money;
mod pay_link;
mod payment;
mod payout;
mod receipt;
mod records;
mod resolve;
pub mod slip;
mod store;
mod totals;
pub mod usdc;

use std::sync::Arc;

use loopd_types::{Currency, render_decimal};
use serde_json::json;

use crate::define::*;
use crate::modules::text_of;

pub use books::Ledger;
pub use mobile_money::{AirtelSettings, MtnSettings, Providers, SANDBOX, Settings};
pub use resolve::register_jobs;
pub use slip::Slip;

const INVOICES: &str = "payments/invoices";
const PAYMENTS: &str = "payments/payments";
const REFUNDS: &str = "payments/refunds";
const CREDIT_NOTES: &str = "payments/credit-notes";
const RECEIPTS: &str = "payments/receipts";
const LINKS: &str = "payments/payment-links";
const CUSTOMERS: &str = "payments/customers";
const TAX_RATES: &str = "payments/tax-rates";
const ACCOUNTS: &str = "payments/accounts";
const ENTRIES: &str = "payments/ledger-entries";

/// On what ground books stay when a person is erased.
const TAX_LAW: &str = "tax law keeps what was invoiced and paid, with the names on it; addresses and numbers go";

/// The ways to pay.
const METHODS: [&str; 7] = ["cash", "mtn_momo", "airtel_money", "card", "bank", "usdc", "other"];

/// How refunded money goes back to the payer. No provider is asked for it: a person sends it.
const SETTLEMENTS: [&str; 1] = ["manual"];

/// The module, with the built-in sandbox for mobile money.
pub fn module() -> Module {
    module_with(&Providers::sandbox())
}

/// The module over these providers of mobile money.
pub fn module_with(providers: &Providers) -> Module {
    Module::new("payments", "Payments")
        .description(
            "Invoices, payments by cash, bank and mobile money, refunds, receipts, and a balanced ledger of all of it.",
        )
        .resource(invoices())
        .resource(payments())
        .resource(records::refunds())
        .resource(records::credit_notes())
        .resource(records::receipts())
        .resource(records::payment_links())
        .resource(records::payouts())
        .resource(records::customers())
        .resource(records::tax_rates())
        .resource(records::payment_methods())
        .resource(records::accounts())
        .resource(records::ledger_entries())
        .setting(
            boolean("overpayment")
                .default(false)
                .help("Whether an invoice may be paid by more than is due; the rest is the customer's credit."),
        )
        .setting(
            boolean("four_eyes")
                .default(false)
                .help("Whether a payout is approved by somebody else than who submitted it."),
        )
        .setting(boolean("public").default(true).help("Whether who holds a payment link may read it and pay by it."))
        .setting(text("usdc_project", 64).help(
            "The Loomal project that is paid when invoices are paid in USDC: its `id-…`, or its `id` of `/api/v1/loomal/projects/`. Without it, they cannot be.",
        ))
        .setting(text("usdc_network", 40).help("The chain on which that is: `base`, `base-sepolia`; the server's first when absent."))
        .setting(decimal("usdc_rate", usdc::RATE_SCALE).help(
            "What one USDC counts in the company's own currency, as `1450.5`. Invoices in USD and USDC need none; those in the company's own \
             currency cannot be paid in USDC without it.",
        ))
        .operation(trial_balance())
        .operation(link_page())
        .operation(link_payment(providers.clone()))
        .operation(pay_link_operation())
        .operation(initiate_operation(providers.clone()))
        .operation(callback_operation("providers_callback", Method::Post, providers))
        .operation(callback_operation("providers_callback_put", Method::Put, providers))
}

fn invoices() -> Resource {
    Resource::new("invoices", "INV")
        .kept_by(TAX_LAW)
        .help("What a customer owes. Totals are computed by the server; an issued invoice is corrected by credit notes, never changed.")
        .title_optional()
        .field(reference("customer", CUSTOMERS).personal(Personal::Subject).help("Who owes it."))
        .field(currency("currency"))
        .field(money("amount").help("What is owed when there are no lines, tax included. With lines it is empty: they decide.").example(25000))
        .field(money("subtotal").derived(invoice::subtotal).help("Sum of the lines before discount and tax."))
        .field(money("discount_total").derived(invoice::discount_total).help("Sum of the lines' discounts."))
        .field(money("tax_total").derived(invoice::tax_total).help("Sum of the lines' taxes."))
        .field(money("total").derived(invoice::total).indexed().help("Subtotal less discounts plus taxes."))
        .field(money("amount_paid").default(0).read_only().help("What was paid, refunds not taken off."))
        .field(money("amount_refunded").default(0).read_only().help("What was given back."))
        .field(money("amount_credited").default(0).read_only().help("What credit notes took off."))
        .field(money("amount_written_off").default(0).read_only().help("What was given up."))
        .field(money("amount_due").derived(invoice::amount_due).indexed().help(
            "What is still owed: total, less credits and what was written off, less what was paid, plus what was refunded; never below zero.",
        ))
        .field(money("amount_overpaid").derived(invoice::amount_overpaid).help("What was paid beyond what is owed: the customer's credit."))
        .field(date_time("issued_at").read_only().indexed().help("When it was finalized."))
        .field(date_time("sent_at").read_only().help("When it was last sent."))
        .field(date_time("paid_at").read_only().help("When the last of it was paid."))
        .field(date("due_date").indexed().help("Last day to pay. The customer's terms decide when it is empty at finalizing."))
        .field(boolean("is_overdue").default(false).read_only().help("Owed although its due date is over."))
        .field(code("source_module").help("Where it comes from, when another module made it: booking.").example("booking"))
        .field(text("source_id", 64).sparse().help("The record there."))
        .field(long_text("notes").help("Words to the customer, printed on the invoice."))
        .field(
            json("usdc_receipts")
                .read_only()
                .personal(Personal::Other)
                .help("The signed receipts of payments in USDC, oldest first: `{payment, receipt}`. Anyone can check them."),
        )
        .field(text("void_reason", 500).read_only().help("Why it was voided."))
        .field(text("write_off_reason", 500).read_only().help("Why it was given up."))
        .lines(invoice_lines())
        .states(&["draft", "open", "partially_paid", "paid", "void", "uncollectible"])
        .automatic(&["open", "partially_paid", "paid"])
        .action(
            Action::to("finalize", &["draft"], "open")
                .guard(invoice::require_total)
                .stamps("issued_at")
                .effect(invoice::set_terms)
                .after(invoice::issue)
                .routine()
                .help("Issue it: from here on it is owed, and its lines cannot change."),
        )
        .action(
            Action::new("send", &["open", "partially_paid", "paid"])
                .input(
                    boolean("by_message")
                        .default(false)
                        .help("Also write to the customer by the company's messenger (Loopwave)."),
                )
                .stamps("sent_at")
                .effect(invoice::deliver)
                .routine()
                .help("Send it to the customer: the event payments.invoices.sent carries it to whoever delivers."),
        )
        .action(
            Action::new("record-payment", &["open", "partially_paid"])
                .input(money("amount").input_only().help("How much; what is due when it is not given."))
                .input(choice("method", &METHODS).default("cash").help("How it was paid."))
                .input(text("reference", 120).help("Number of the bank transfer, cheque or mobile money transaction."))
                .after(invoice::record_payment)
                .event("payment_recorded")
                .routine()
                .help("Note a payment that was made outside of this system."),
        )
        .action(
            Action::new("mark-paid", &["open", "partially_paid"])
                .input(text("reference", 120).help("What shows that it was paid."))
                .after(invoice::mark_paid)
                .event("marked_paid")
                .help("Note a payment of all that is due, by other means."),
        )
        .action(
            Action::to("void", &["draft", "open"], "void")
                .input(text("reason", 500).required().goes_to("void_reason").help("Why."))
                .guard(invoice::require_unpaid)
                .after(invoice::void)
                .event("voided")
                .help("It was issued by mistake and is owed no more. What was posted is reversed."),
        )
        .action(
            Action::to("write-off", &["open", "partially_paid"], "uncollectible")
                .input(text("reason", 500).required().goes_to("write_off_reason").help("Why."))
                .guard(invoice::require_no_waiting)
                .effect(invoice::write_off)
                .after(invoice::post_write_off)
                .help("Give up what is still owed."),
        )
        .action(
            Action::new("credit-note", &["open", "partially_paid", "paid"])
                .to_one_of(&["open", "partially_paid", "paid"])
                .input(money("amount").input_only().help("How much; what is due, else all that is not credited yet, when it is not given."))
                .input(text("reason", 500).required().help("Why."))
                .guard(invoice::require_creditable)
                .effect(invoice::credit)
                .after(invoice::post_credit)
                .event("credited")
                .help("Take something off the invoice; what was paid beyond that becomes the customer's credit."),
        )
        .search(&["title", "description", "number", "notes", "source_id"])
        .before_create(invoice::prepare)
        .before_update(invoice::protect)
        .after_update(invoice::reschedule)
        .before_delete(invoice::require_draft)
        .check(invoice::check)
}

fn invoice_lines() -> Lines {
    Lines::new("lines")
        .help("What is charged, line by line, all in the invoice's currency.")
        .field(text("description", 500).help("What it is.").example("Consultation"))
        .field(decimal("qty", totals::QTY_SCALE).default("1").help("How many."))
        .field(money("unit_price").required().help("Price of one, without tax."))
        .field(
            reference("tax", TAX_RATES)
                .help("A tax rate of the company's; its percentage is taken over when none is given."),
        )
        .field(percent("tax_rate").help("Tax in percent, on the amount after discount.").example("18"))
        .field(money("discount").default(0).help("Taken off before tax."))
        .field(money("subtotal").read_only().help("Quantity times price, rounded half up."))
        .field(money("tax_amount").read_only().help("Tax on subtotal less discount, rounded half up."))
        .field(money("total").read_only().help("Subtotal less discount plus tax."))
        .each(invoice::compute_line)
}

fn payments() -> Resource {
    Resource::new("payments", "PAY")
        .kept_by(TAX_LAW)
        .help("Money from a customer, for an invoice or on account. Mobile money is asked for with initiate; other means are confirmed by hand.")
        .title_optional()
        .field(reference("invoice", INVOICES).help("What is paid; without one the money is the customer's credit."))
        .field(reference("customer", CUSTOMERS).personal(Personal::Subject).help("Who pays; the invoice's customer when absent."))
        .field(reference("link", LINKS).help("The payment link it came by."))
        .field(choice("method", &METHODS).default("cash").help("How it is paid."))
        .field(currency("currency"))
        .field(money("amount").help("How much; what the invoice has due when it is not given."))
        .field(money("amount_refunded").default(0).read_only().help("What was given back of it."))
        .field(
            choice("refund_settlement", &SETTLEMENTS)
                .read_only()
                .help("Set once something was refunded. manual: nothing is sent by this system; give the money back by hand."),
        )
        .field(phone("payer_phone").personal(Personal::Contact).help("Whose mobile money is asked; with the country's code.").example("250788123456"))
        .field(text("reference", 120).help("Number of the bank transfer, cheque or mobile money transaction."))
        .field(code("provider").read_only().help("Who was asked: mtn-momo, airtel-money, sandbox; x402 for a payment in USDC by a pay link."))
        .field(text("provider_ref", 64).read_only().sparse().help("Our reference with the provider, made before it was asked."))
        .field(text("provider_transaction", 120).read_only().help("The provider's own number of the payment."))
        .field(decimal("usdc", usdc::RATE_SCALE).read_only().help("What was paid in USDC, by a pay link."))
        .field(text("payer_wallet", 64).read_only().personal(Personal::Contact).help("Whose account it came from, in USDC by a pay link."))
        .field(json("proof").read_only().personal(Personal::Other).help("The signed receipt of a payment in USDC by a pay link."))
        .field(boolean("sandbox").default(false).read_only().help("No real money moved."))
        .field(text("failure_code", 120).read_only().help("Why it failed, for programs."))
        .field(text("failure_reason", 500).read_only().help("Why it failed, for people."))
        .field(date_time("initiated_at").read_only().help("When the provider was asked."))
        .field(date_time("succeeded_at").read_only().indexed().help("When the money was there."))
        .states(&["pending", "succeeded", "failed", "expired", "cancelled", "partly_refunded", "refunded"])
        .automatic(&["succeeded", "failed", "expired"])
        .action(
            Action::to("confirm", &["pending"], "succeeded")
                .stamps("succeeded_at")
                .guard(payment::require_confirmable)
                .after(payment::apply)
                .routine()
                .help("The money is there. Not for a payment that a provider was asked for: its provider decides."),
        )
        .action(
            Action::to("cancel", &["pending"], "cancelled")
                .guard(payment::require_not_initiated)
                .routine()
                .help("It will not be paid. Not possible once a provider was asked."),
        )
        .action(
            Action::new("refund", &["succeeded", "partly_refunded"])
                .to_one_of(&["partly_refunded", "refunded"])
                .input(money("amount").input_only().help("How much; all that is left of it when it is not given."))
                .input(text("reason", 500).help("Why."))
                .input(boolean("credit_invoice").default(false).help("Also credit the invoice, so that the sum is not owed again."))
                .guard(payment::require_refundable)
                .effect(payment::refund)
                .after(payment::post_refund)
                .help(
                    "Note that money was given back. This keeps the books and sends nothing, mobile money included: hand it out, transfer it, or \
                     send it from the provider's own portal. The answer's refund_settlement says so: manual.",
                ),
        )
        .search(&["title", "description", "number", "reference", "payer_phone", "provider_ref", "provider_transaction"])
        .before_create(payment::prepare)
        .before_update(payment::protect)
        .before_delete(payment::require_deletable)
}

fn trial_balance() -> Custom {
    Custom::get("ledger_trial_balance", "ledger/trial-balance/", ledger::trial_balance)
        .summary("Trial balance")
        .help("What every account holds, in every currency. Debits equal credits; `is_balanced` says so of each currency.")
        .input(Field::new("currency", Kind::Currency).help("Only this currency."))
        .input(date_time("as_of").help("Only entries posted until then; now when absent."))
        .permission("ledger-entries.view")
        .answer(ledger::trial_balance_schema())
}

fn link_page() -> Custom {
    Custom::get("payment_link_page", "public/{company}/payment-links/{token}/", link::page)
        .summary("What a payment link asks for")
        .help("Whoever holds the link may read this: company, words and amount, nothing else. Unknown, expired and inactive links are 404 alike.")
        .public()
        .answer(link::page_schema())
}

fn link_payment(providers: Providers) -> Custom {
    let run = Run::Call(Arc::new(move |engine, call| Box::pin(link::pay(providers.clone(), engine, call))));
    let path = "public/{company}/payment-links/{token}/pay/";
    link::pay_inputs()
        .into_iter()
        .fold(Custom::new("payment_link_pay", Method::Post, path, run), Custom::input)
        .summary("Pay by a payment link")
        .help(
            "Makes a payment over what the link asks for, and asks the payer's mobile money for it. Read the page again to see it paid. \
             404 for unknown, inactive and expired links; 409 `invoice_not_open` when there is nothing left to pay; \
             429 after 5 calls a minute by one link, or 3 for one telephone.",
        )
        .public()
        .status(201)
        .answer(link::pay_schema())
}

fn pay_link_operation() -> Custom {
    let run = Run::Call(Arc::new(|engine, call| Box::pin(pay_link::make(engine, call))));
    pay_link::inputs()
        .into_iter()
        .fold(Custom::new("invoices_pay_link", Method::Post, "invoices/{id}/pay-link/", run), Custom::input)
        .summary("Make the link by which it is paid in USDC")
        .help(
            "The address, `url`, is a page for people and asks programs by x402 for exactly what is due; whoever pays there has the invoice \
             marked as paid, once. An invoice has one such link: the call again answers the same, with another `expires_at` if one is given. It \
             is one of the `payment-links`, and is taken back by their action `deactivate`. 409 `usdc_not_set_up` until the setting \
             `payments.usdc_project` names who is paid; 409 `currency_not_in_usdc` for an invoice that is neither in USD nor in USDC nor, with \
             `payments.usdc_rate`, in the company's own currency.",
        )
        .permission("payment-links.create")
        .ready(pay_link::ready)
        .answer(pay_link::schema())
}

fn initiate_operation(providers: Providers) -> Custom {
    let run = Run::Call(Arc::new(move |engine, call| Box::pin(initiate::initiate(providers.clone(), engine, call))));
    initiate::inputs()
        .into_iter()
        .fold(Custom::new("payments_initiate", Method::Post, "payments/{id}/initiate/", run), Custom::input)
        .summary("Ask the payer for the money")
        .help(
            "Sends a request to the payer's mobile money account. The answer is the payment, still `pending`; the provider's callback or our own \
             asking later makes it `succeeded`, `failed` or `expired`. A payment is initiated once: 409 `already_initiated` after that. \
             503 `provider_unavailable` means that nothing was sent and the call may be repeated. With the sandbox (`\"sandbox\": true`) \
             the payer's number decides: …01 fails, …02 expires, …03 stays pending, …05 is refused, others pay.",
        )
        .permission("payments.update")
        .ready(initiate::ready)
        .answer(json!({"type": "object", "description": "The payment.", "required": ["id", "status", "sandbox"], "properties": {
            "id": {"type": "string", "format": "uuid"}, "status": {"type": "string"}, "sandbox": {"type": "boolean"},
            "provider": {"type": ["string", "null"]}, "provider_ref": {"type": ["string", "null"]}}}))
}

/// MTN MoMo calls back by PUT in production and by POST in its sandbox; others by POST.
fn callback_operation(name: &str, method: Method, providers: &Providers) -> Custom {
    let providers = providers.clone();
    let run = Run::Call(Arc::new(move |engine, call| Box::pin(resolve::callback(providers.clone(), engine, call))));
    Custom::new(name, method, "providers/{name}/callback/", run)
        .summary(if method == Method::Put { "A provider reports on a payment, by PUT" } else { "A provider reports on a payment" })
        .help(
            "For providers of mobile money, who call by POST or by PUT (MTN MoMo in production). The body names the payment (`externalId`); nothing else in \
             it is believed: the provider is asked over our own connection what became of the payment. The same callback twice has one effect.",
        )
        .public()
        .open_input()
        .answer(json!({"type": "object", "required": ["received"], "properties": {"received": {"type": "boolean"}}}))
}

/// The currency of a document.
///
/// # Errors
/// 500 when it has none: every record here gets one when it is made.
fn currency_of(record: &Record) -> Result<Currency> {
    record.currency_in("currency").ok_or_else(|| Problem::internal(format!("{} has no currency", record.subject())))
}

/// The workspace for a document that follows from `record`: the same, even if it was archived meanwhile or the acting person may not go there.
fn workspace_of(record: &Record) -> Option<String> {
    text_of(record.workspace())
}

/// Minor units as the wire writes them.
fn decimal_words(minor: i64, currency: Currency) -> String {
    render_decimal(minor, currency.exponent())
}
