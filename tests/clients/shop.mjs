// A seller on plain node:http, as a developer writes one from the documentation: challenge, 402, redeem, 200.
import http from 'node:http';
import { BASE } from './world.mjs';

/**
 * The challenge itself as `fetch` answers it: its body is version 1 of x402, its header `PAYMENT-REQUIRED` version 2, and its header
 * `WWW-Authenticate` MPP, where `mpp` asks for it.
 */
export const challenge = (key, asked) => post(key, 'challenge', asked);

async function post(key, verb, body) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${BASE}/v0/payments/${verb}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${verb}: ${answer.status} ${await answer.text()}`);
  return answer;
}

/**
 * Opens a shop that sells every path for `amount`. With `speaksBoth` it also offers version 2 of x402, with `mpp` MPP on these terms, and
 * with `speaksX402` false that alone. Gives `{url, sales, close}`; a sale is `{header, version, redeemed}`.
 */
export async function openShop(key, { amount = '0.05', speaksX402 = true, speaksBoth = false, mpp } = {}) {
  const sales = [];
  const server = http.createServer(async (request, response) => {
    try {
      const resource = `http://${request.headers.host}${request.url}`;
      const asked = { amount, network: 'base', resource, mpp };
      const credential = mpp ? request.headers.authorization : undefined;
      const second = speaksBoth ? request.headers['payment-signature'] : undefined;
      const header = credential ?? second ?? request.headers['x-payment'];
      if (!header) {
        const offer = await challenge(key, asked);
        response.setHeader('Cache-Control', 'no-store');
        if (speaksBoth) response.setHeader('PAYMENT-REQUIRED', offer.headers.get('payment-required'));
        if (mpp) response.setHeader('WWW-Authenticate', offer.headers.get('www-authenticate'));
        return send(response, 402, speaksX402 ? await offer.json() : {});
      }
      const redeemed = await (await post(key, 'redeem', { ...asked, paymentHeader: header })).json();
      sales.push({ header, version: second ? 2 : 1, redeemed });
      if (credential && !redeemed.ok) {
        response.setHeader('WWW-Authenticate', redeemed.requirement.wwwAuthenticate);
        return send(response, redeemed.problem.status, redeemed.problem, 'application/problem+json');
      }
      if (!redeemed.ok) return send(response, 402, redeemed.requirement);
      if (credential) {
        response.setHeader('Payment-Receipt', redeemed.paymentReceipt);
        response.setHeader('Cache-Control', 'private');
        return send(response, 200, { weather: 'rain' });
      }
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

function send(response, status, body, type = 'application/json') {
  response.writeHead(status, { 'Content-Type': type });
  response.end(JSON.stringify(body));
}
