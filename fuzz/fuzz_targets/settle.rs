//! `/facilitator/settle`: any body is settled, or refused in the facilitator's words.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopd_fuzz::post(loopd_fuzz::door::SETTLE, bytes));
