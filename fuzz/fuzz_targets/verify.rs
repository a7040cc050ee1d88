//! `/facilitator/verify`: any body gets a verdict or a refusal in the facilitator's words.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopd_fuzz::post(loopd_fuzz::door::VERIFY, bytes));
