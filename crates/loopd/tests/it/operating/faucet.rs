//! `loopd pay faucet`: dollars of the sandbox, and only there.

use crate::support::Program;

const ADDRESS: &str = "0x5e11e45e11e45e11e45e11e45e11e45e11e45e11";

#[test]
fn the_faucet_gives_dollars_of_the_sandbox_and_only_there() {
    let program = Program::fresh().with("LOOP_SANDBOX_GRANT", "10");
    assert_eq!(program.json(&["pay", "faucet", ADDRESS, "2.5"])["balance_micros"], 12_500_000);
    assert_eq!(program.json(&["pay", "faucet", ADDRESS])["balance_micros"], 1_012_500_000);
    for amount in ["1.2345678", "much"] {
        assert!(program.refused(&["pay", "faucet", ADDRESS, amount]).contains("no amount"), "{amount}");
    }
    assert!(program.refused(&["pay", "faucet", ADDRESS, "0"]).contains("more than nothing"));
    assert!(program.refused(&["pay", "faucet", "0x5e11", "1"]).contains("0x5e11"));
    assert!(program.refused(&["pay", "faucet", ADDRESS, "1", "--network", "mars"]).contains("network"));
    let real = program
        .with("LOOP_SETTLEMENT", "rpc")
        .with("LOOP_EVM_RPC_URL", "http://127.0.0.1:1")
        .with("LOOP_EVM_PRIVATE_KEY", &"11".repeat(32));
    assert!(real.refused(&["pay", "faucet", ADDRESS]).contains("real money"));
}
