// A seller on plain node:http, as a developer writes one from the documentation: challenge, 402, redeem, 200.
import http from 'node:http';
import { BASE } from './world.mjs';

/** The challenge itself as `fetch` answers it: its body is version 1 of x402, its header `PAYMENT-REQUIRED` version 2. */
export const challenge = (key, asked) => post(key, 'challenge', asked);

async function post(key, verb, body) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${BASE}/v0/payments/${verb}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${verb}: ${answer.status} ${await answer.text()}`);
  return answer;
}

/**
 * Opens a shop that sells every path for `amount`. With `speaksBoth` it also offers version 2 of x402.
 * Gives `{url, sales, close}`; a sale is `{header, version, redeemed}`.
 */
export async function openShop(key, { amount = '0.05', speaksBoth = false } = {}) {
  const sales = [];
  const server = http.createServer(async (request, response) => {
    try {
      const resource = `http://${request.headers.host}${request.url}`;
      const asked = { amount, network: 'base', resource };
      const second = speaksBoth ? request.headers['payment-signature'] : undefined;
      const header = second ?? request.headers['x-payment'];
      if (!header) {
        const offer = await challenge(key, asked);
        if (speaksBoth) response.setHeader('PAYMENT-REQUIRED', offer.headers.get('payment-required'));
        return send(response, 402, await offer.json());
      }
      const redeemed = await (await post(key, 'redeem', { ...asked, paymentHeader: header })).json();
      sales.push({ header, version: second ? 2 : 1, redeemed });
      if (!redeemed.ok) return send(response, 402, redeemed.requirement);
      response.setHeader(second ? 'PAYMENT-RESPONSE' : 'X-PAYMENT-RESPONSE', redeemed.paymentResponse);
      send(response, 200, { weather: 'rain' });
    } catch (error) {
      send(response, 502, { error: String(error) });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
  return { url: `http://127.0.0.1:${server.address().port}/weather?city=Kigali`, sales, close };
}

function send(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}
