// Buyers that other people wrote. Each buys an address with a wallet of its own and says what it got.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { registerExactEvmScheme } from '@x402/evm/exact/client';
import * as second from '@x402/fetch';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import * as first from 'x402-fetch';

const run = promisify(execFile);
const here = (name) => new URL(name, import.meta.url).pathname;

export const python = () => process.env.CLIENTS_PYTHON ?? 'python3';

/** A wallet that the sandbox gives its thousand USDC. */
export function wallet() {
  const secret = generatePrivateKey();
  return { secret, account: privateKeyToAccount(secret) };
}

/** Both versions of x402, as `@x402/fetch` pays them. */
export const client = (account) => registerExactEvmScheme(new second.x402Client(), { signer: account });

/** `(url, wallet) => {status, body, settled}`, where `settled` is what the buyer read in the seller's response header. */
export const BUYERS = {
  'x402-fetch': async (url, { account }) => {
    const response = await first.wrapFetchWithPayment(fetch, account)(url);
    return got(response, first.decodeXPaymentResponse);
  },
  '@x402/fetch': async (url, { account }) => {
    const response = await second.wrapFetchWithPayment(fetch, client(account))(url);
    return got(response, second.decodePaymentResponseHeader);
  },
  'x402 of PyPI': async (url, { secret }) => {
    const { stdout } = await run(python(), [here('buy.py'), url], { env: { ...process.env, BUYER_KEY: secret } });
    return JSON.parse(stdout);
  },
};

async function got(response, decode) {
  const header = response.headers.get('payment-response') ?? response.headers.get('x-payment-response');
  return { status: response.status, body: await response.json(), settled: header && decode(header) };
}
