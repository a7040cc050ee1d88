//! A wallet made and used at once: a contract's creation code that makes both calls. Nothing is deployed anywhere for it, as a
//! multicall contract would have to be. As a question (`eth_call`) nothing stays of it; as a transaction, all or nothing.

use alloy_primitives::{Address, Bytes};

use super::abi::{Call, Deployment};

const STOP: u8 = 0x00;
const CODECOPY: u8 = 0x39;
const EXTCODESIZE: u8 = 0x3b;
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

/// What is left when the code has run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A zero byte and the first word of the call's answer: for a question.
    Answer,
    /// Nothing: for a transaction, whose answer nobody hears.
    Nothing,
}

/// Creation code that has `deployment` make `wallet` unless it is there, and then makes `call`. It reverts as the call reverts. Whether
/// the wallet came to be is not looked at: the call will tell.
pub fn creation(wallet: Address, deployment: &Deployment, call: &Call, ending: Ending) -> Bytes {
    let first = Call { to: deployment.factory, data: deployment.call.clone() };
    // Every number has the same width, so the first run tells where the data begins.
    let data_at = assemble(wallet, &first, call, ending, 0).len();
    let code = assemble(wallet, &first, call, ending, data_at);
    [&code[..], &first.data, &call.data].concat().into()
}

fn assemble(wallet: Address, first: &Call, then: &Call, ending: Ending, data_at: usize) -> Vec<u8> {
    let answer_at = first.data.len().max(then.data.len());
    let mut code = vec![PUSH20];
    code.extend(wallet);
    code.push(EXTCODESIZE);
    let mut making = Vec::new();
    push_call(&mut making, first, data_at, answer_at);
    making.push(POP);
    jump_over(&mut code, &making);
    push_call(&mut code, then, data_at + first.data.len(), answer_at);
    jump_over(&mut code, &REFUSE);
    match ending {
        Ending::Answer => {
            code.extend([PUSH1, ANSWER]);
            push(&mut code, answer_at);
            code.push(RETURN);
        }
        Ending::Nothing => code.push(STOP),
    }
    code
}

/// Runs `part` unless the word on the stack is other than zero.
fn jump_over(code: &mut Vec<u8>, part: &[u8]) {
    // five bytes of this push, one of JUMPI
    let end = code.len() + 6 + part.len();
    push(code, end);
    code.push(JUMPI);
    code.extend(part);
    code.push(JUMPDEST);
}

/// Leaves on the stack whether the call succeeded.
fn push_call(code: &mut Vec<u8>, call: &Call, data_at: usize, answer_at: usize) {
    // codecopy(0, data_at, size)
    push(code, call.data.len());
    push(code, data_at);
    code.extend([PUSH1, 0, CODECOPY]);
    // call(gas, to, value: 0, 0, size, answer_at + 1, 32); the byte at answer_at stays zero
    code.extend([PUSH1, 32]);
    push(code, answer_at + 1);
    push(code, call.data.len());
    code.extend([PUSH1, 0, PUSH1, 0, PUSH20]);
    code.extend(call.to);
    code.extend([GAS, CALL]);
}

/// Four bytes are enough for what fits into a request.
fn push(code: &mut Vec<u8>, number: usize) {
    code.push(PUSH4);
    code.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}
