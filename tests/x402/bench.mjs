// What a verification costs the reference: the body is read and judged, against a chain that answers at once. Prints nanoseconds.
// The same payments as in crates/pay/benches/verify.rs, but for their moment: the reference reads the clock itself.
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { privateKeyToAccount } from "viem/accounts";

const USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const SELLER = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
const BODIES = 64;
const ROUNDS = 5;

const account = privateKeyToAccount(`0x${"07".repeat(32)}`);
const word = (name, type) => ({ name, type });
const types = {
  TransferWithAuthorization: [
    word("from", "address"), word("to", "address"), word("value", "uint256"), word("validAfter", "uint256"),
    word("validBefore", "uint256"), word("nonce", "bytes32"),
  ],
};
const requirements = {
  scheme: "exact", network: "eip155:8453", amount: "10000", asset: USDC, payTo: SELLER, maxTimeoutSeconds: 60,
  extra: { name: "USD Coin", version: "2" },
};
const now = Math.floor(Date.now() / 1000);
const bodies = await Promise.all(Array.from({ length: BODIES }, async (_, number) => {
  const authorization = {
    from: account.address, to: SELLER, value: "10000", validAfter: String(now - 600), validBefore: String(now + 3600),
    nonce: `0x${number.toString(16).padStart(64, "0")}`,
  };
  const signature = await account.signTypedData({
    domain: { name: "USD Coin", version: "2", chainId: 8453, verifyingContract: USDC },
    types, primaryType: "TransferWithAuthorization", message: authorization,
  });
  return JSON.stringify({
    x402Version: 2,
    paymentPayload: {
      x402Version: 2, resource: { url: "https://seller.example/paid" }, accepted: requirements,
      payload: { signature, authorization },
    },
    paymentRequirements: requirements,
  });
}));

const signer = toFacilitatorEvmSigner({
  address: account.address,
  // the token is a contract, the payer is none
  getCode: async ({ address }) => (address.toLowerCase() === USDC.toLowerCase() ? "0x01" : undefined),
  readContract: async () => undefined,
  verifyTypedData: async () => true,
  writeContract: async () => "0x",
  sendTransaction: async () => "0x",
  waitForTransactionReceipt: async () => ({ status: "success" }),
});
const facilitator = new x402Facilitator().register("eip155:8453", new ExactEvmScheme(signer));

const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const began = process.hrtime.bigint();
  let done = 0n;
  while (process.hrtime.bigint() - began < 1_000_000_000n) {
    for (const body of bodies) {
      const { paymentPayload, paymentRequirements } = JSON.parse(body);
      const { isValid, invalidReason } = await facilitator.verify(paymentPayload, paymentRequirements);
      if (!isValid) throw new Error(invalidReason);
    }
    done += BigInt(BODIES);
  }
  rounds.push((process.hrtime.bigint() - began) / done);
}
rounds.sort((a, b) => (a < b ? -1 : 1));
console.log(`verify ${rounds[ROUNDS >> 1]}`);
