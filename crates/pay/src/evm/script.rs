//! Several calls in one question to a node: a contract's creation code that makes them one after another. Nothing is deployed
//! anywhere for it, as a multicall contract would have to be, and nothing stays: `eth_call` forgets what it did.

use alloy_primitives::Bytes;

use super::abi::Call;

const CODECOPY: u8 = 0x39;
const RETURNDATASIZE: u8 = 0x3d;
const RETURNDATACOPY: u8 = 0x3e;
const POP: u8 = 0x50;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const PUSH1: u8 = 0x60;
const PUSH4: u8 = 0x63;
const PUSH20: u8 = 0x73;
const CALL: u8 = 0xf1;
const RETURN: u8 = 0xf3;
const REVERT: u8 = 0xfd;

/// Hands on what the last call was refused with.
const REFUSE: [u8; 10] = [RETURNDATASIZE, PUSH1, 0, PUSH1, 0, RETURNDATACOPY, RETURNDATASIZE, PUSH1, 0, REVERT];
/// A creation answers with what would become a contract's code, and code must not begin with 0xEF (EIP-3541): a zero goes before.
const ANSWER: u8 = 33;

/// Creation code that makes `calls` in turn. Whether those before the last one succeed does not matter (a wallet may be there
/// already); it reverts as the last one reverts, and otherwise answers a zero byte and the first word of the last one's answer.
pub fn creation(calls: &[Call]) -> Bytes {
    // Every number has the same width, so the first run tells where the data begins.
    let data_at = assemble(calls, 0).len();
    let mut code = assemble(calls, data_at);
    for call in calls {
        code.extend(&call.data);
    }
    code.into()
}

fn assemble(calls: &[Call], mut data_at: usize) -> Vec<u8> {
    let answer_at = calls.iter().map(|call| call.data.len()).max().unwrap_or(0);
    let mut code = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        if index > 0 {
            code.push(POP);
        }
        // codecopy(0, data_at, size)
        push(&mut code, call.data.len());
        push(&mut code, data_at);
        code.extend([PUSH1, 0, CODECOPY]);
        // call(gas, to, value: 0, 0, size, answer_at + 1, 32); the byte at answer_at stays zero
        code.extend([PUSH1, 32]);
        push(&mut code, answer_at + 1);
        push(&mut code, call.data.len());
        code.extend([PUSH1, 0, PUSH1, 0, PUSH20]);
        code.extend(call.to);
        code.extend([GAS, CALL]);
        data_at += call.data.len();
    }
    // five bytes of this push, one of JUMPI
    let answer = code.len() + 6 + REFUSE.len();
    push(&mut code, answer);
    code.push(JUMPI);
    code.extend(REFUSE);
    code.extend([JUMPDEST, PUSH1, ANSWER]);
    push(&mut code, answer_at);
    code.push(RETURN);
    code
}

/// Four bytes are enough for what fits into a request.
fn push(code: &mut Vec<u8>, number: usize) {
    code.push(PUSH4);
    code.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}
