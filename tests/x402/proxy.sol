// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

// x402's proxy for exact payments by Permit2, as far as `settle` goes: no package has its code, so it is written anew here, by the
// scheme's specification. What it may do is Permit2's own to judge: the payer signed the spender, the receiver and the beginning.

struct TokenPermissions { address token; uint256 amount; }
struct Permit { TokenPermissions permitted; uint256 nonce; uint256 deadline; }
struct Transfer { address to; uint256 requestedAmount; }
struct Witness { address to; uint256 validAfter; }

interface Permit2 {
    function permitWitnessTransferFrom(
        Permit calldata permit, Transfer calldata details, address owner, bytes32 witness, string calldata types, bytes calldata signature
    ) external;
}

contract Proxy {
    Permit2 public constant PERMIT2 = Permit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);

    event Settled();
    error PaymentTooEarly();

    function settle(Permit calldata permit, address owner, Witness calldata witness, bytes calldata signature) external {
        if (block.timestamp < witness.validAfter) revert PaymentTooEarly();
        bytes32 hash = keccak256(abi.encode(keccak256("Witness(address to,uint256 validAfter)"), witness.to, witness.validAfter));
        PERMIT2.permitWitnessTransferFrom(
            permit,
            Transfer(witness.to, permit.permitted.amount),
            owner,
            hash,
            "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)",
            signature
        );
        emit Settled();
    }
}
