// Every buyer buys from every seller: money moves once, the seller's records and the buyer's own reading of the answer agree.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { BUYERS, client, python, wallet } from './buyers.mjs';
import { verifyDetail, verifyRedeemed } from './receipts.mjs';
import { challenge, openShop } from './shop.mjs';
import { BASE, call, decode, seller } from './world.mjs';

const USDC = '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913';

/** A shop of Python with the SDK, in a process of its own. */
async function openPythonShop(key, way) {
  const env = { ...process.env, LOOMAL_API_KEY: key, LOOMAL_BASE_URL: BASE };
  const child = spawn(python(), [new URL('shop.py', import.meta.url).pathname, way], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const [url] = await once(createInterface(child.stdout), 'line');
  const close = () => (child.stdin.end(), once(child, 'exit'));
  return { url, close };
}

const SELLERS = {
  'node:http': { open: (key) => openShop(key), version: 1 },
  'node:http in both versions': { open: (key) => openShop(key, { speaksBoth: true }), version: 2 },
  'build_challenge and verify_and_settle': { open: (key) => openPythonShop(key, 'sync'), version: 1 },
  'build_challenge_async and verify_and_settle_async': { open: (key) => openPythonShop(key, 'async'), version: 1 },
  'Loomal(…).payments': { open: (key) => openPythonShop(key, 'client'), version: 1 },
};

for (const [sells, { open, version }] of Object.entries(SELLERS)) {
  describe(`bought from ${sells}`, { concurrency: false }, () => {
    for (const [buys, buy] of Object.entries(BUYERS)) {
      // The oldest buyer knows one version only, and a seller who speaks both is understood by it all the same.
      const spoken = buys === 'x402-fetch' ? 1 : version;
      it(`by ${buys}`, async () => {
        const project = await seller('a shop');
        const me = wallet();
        const shop = await open(project.rawKey);
        try {
          const { status, body, settled } = await buy(shop.url, me);
          assert.equal(status, 200, JSON.stringify(body));
          assert.deepEqual(body, { weather: 'rain' });
          assert.equal(settled.success, true);
          assert.equal(settled.network, spoken === 2 ? 'eip155:8453' : 'base');
          assert.equal(settled.payer.toLowerCase(), me.account.address.toLowerCase());

          const { payments, count } = await call(project.rawKey, 'GET', '/v0/payments');
          assert.equal(count, 1);
          const [paid] = payments;
          assert.equal(paid.status, 'settled');
          assert.equal(paid.amountUsdcRaw, '50000');
          assert.equal(paid.network, 'base');
          assert.equal(paid.payerAddress, me.account.address);
          assert.equal(paid.txHash, settled.transaction);
          assert.equal(paid.resourceUrl, shop.url.split('?')[0]);
          const who = await call(project.rawKey, 'GET', '/v0/whoami');
          assert.equal(paid.recipientAddress, who.wallet.address);

          await verifyDetail(await call(project.rawKey, 'GET', `/v0/payments/${paid.id}`), project.identityId);
          for (const sale of shop.sales ?? []) {
            assert.equal(sale.version, spoken);
            verifyRedeemed(sale.redeemed);
            assert.equal(sale.redeemed.paymentInId, paid.id);
          }
        } finally {
          await shop.close();
        }
      });
    }
  });
}

describe('a challenge', () => {
  it('is in version 1 what the documents show, and in version 2 what clients of it read', async () => {
    const { rawKey } = await seller('a shop');
    const { wallet: own } = await call(rawKey, 'GET', '/v0/whoami');
    const resource = 'https://api.example.com/weather';
    const offer = await challenge(rawKey, { amount: '0.123456', network: 'base', resource, description: 'The weather' });
    assert.deepEqual(await offer.json(), {
      x402Version: 1,
      accepts: [{
        scheme: 'exact', network: 'base', maxAmountRequired: '123456', resource, description: 'The weather', mimeType: '',
        payTo: own.address, maxTimeoutSeconds: 60, asset: USDC, extra: { name: 'USD Coin', version: '2' },
      }],
    });
    const required = decode(offer.headers.get('payment-required'));
    const payload = await client(wallet().account).createPaymentPayload(required);
    assert.equal(payload.x402Version, 2);
    assert.equal(payload.accepted.amount, '123456');
    assert.equal(payload.payload.authorization.to, own.address);
  });
});

describe('one payment brought again', { concurrency: false }, () => {
  it('ten times at once and again later is one settlement, and the same success to all', async () => {
    const { rawKey } = await seller('a busy shop');
    const resource = 'https://api.example.com/weather';
    const required = await (await challenge(rawKey, { amount: '0.05', network: 'base', resource })).json();
    const payload = await client(wallet().account).createPaymentPayload(required);
    const paymentHeader = Buffer.from(JSON.stringify(payload)).toString('base64');
    const redeem = () =>
      call(rawKey, 'POST', '/v0/payments/redeem', { body: { paymentHeader, resource, amount: '0.05', network: 'base' } });

    const [first, ...others] = await Promise.all(Array.from({ length: 10 }, redeem));
    assert.equal(first.ok, true, JSON.stringify(first));
    for (const other of [...others, await redeem()]) assert.deepEqual(other, first);
    verifyRedeemed(first);
    const { count, payments } = await call(rawKey, 'GET', '/v0/payments');
    assert.deepEqual([count, payments[0].id, payments[0].amountUsdcRaw], [1, first.paymentInId, '50000']);
    assert.equal((await call(rawKey, 'GET', '/v0/payments/activity')).count, 1);
  });

  it('buys nothing a second time from a seller with another wallet', async () => {
    const [one, other] = [await seller('one'), await seller('other')];
    const resource = 'https://api.example.com/weather';
    const required = await (await challenge(one.rawKey, { amount: '0.05', network: 'base', resource })).json();
    const payload = await client(wallet().account).createPaymentPayload(required);
    const body = { paymentHeader: Buffer.from(JSON.stringify(payload)).toString('base64'), resource, amount: '0.05', network: 'base' };
    assert.equal((await call(one.rawKey, 'POST', '/v0/payments/redeem', { body })).ok, true);
    const refused = await call(other.rawKey, 'POST', '/v0/payments/redeem', { body });
    assert.deepEqual([refused.ok, refused.reason], [false, 'invalid_exact_evm_nonce_already_used']);
    assert.equal((await call(other.rawKey, 'GET', '/v0/payments')).count, 0);
  });
});
