//! The API reference of payments: complete and without faults.

use loopd_business::modules::payments;

use crate::house::documented;

#[test]
fn the_reference_is_sound_and_names_every_operation() {
    let (operations, _) = documented(vec![payments::module()]);
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
