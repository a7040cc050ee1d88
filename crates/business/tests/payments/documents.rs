//! The API reference of payments: complete and without faults.

use std::sync::Arc;

use loopd_business::engine::Registry;
use loopd_business::modules::payments;
use loopd_web::{Surface, openapi};

#[test]
fn the_reference_is_sound_and_names_every_operation() {
    let registry = Arc::new(Registry::build(vec![payments::module()]).expect("the definitions are sound"));
    let operations = loopd_business::http::operations(&registry);
    let document = openapi::Document {
        title: "LOOP".into(),
        tags: loopd_business::http::tags(&registry),
        schemas: loopd_business::http::schemas(&registry),
        ..openapi::Document::default()
    };
    let assembled = openapi::assemble(Surface::Loop, &document, operations.iter());
    let faults = openapi::lint(&assembled);
    assert!(faults.is_empty(), "{faults:#?}");
    let ids: Vec<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    for id in [
        "payments_ledger_trial_balance",
        "payments_payment_link_page",
        "payments_payment_link_pay",
        "payments_payments_initiate",
        "payments_providers_callback",
        "payments_providers_callback_put",
        "payments_invoices_finalize",
        "payments_invoices_credit_note",
        "payments_payments_refund",
        "payments_payouts_approve",
        "payments_receipts_reprint",
    ] {
        assert!(ids.contains(&id), "{id}");
    }
    // strangers reach these and no others
    let public: Vec<&str> = operations
        .iter()
        .filter(|operation| operation.access == loopd_web::Access::Public)
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(
        public,
        [
            "payments_payment_link_page",
            "payments_payment_link_pay",
            "payments_providers_callback",
            "payments_providers_callback_put",
        ]
    );
}
