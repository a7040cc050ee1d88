// The facilitator by `@x402/core`'s own client, for payments of both versions: what is supported, verdicts, and one settlement each.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HTTPFacilitatorClient } from '@x402/core/http';
import { client, wallet } from './buyers.mjs';
import { challenge } from './shop.mjs';
import { BASE, call, decode, seller } from './world.mjs';

const RESOURCE = 'https://api.example.com/weather';

function facilitator(key) {
  const own = { Authorization: `Bearer ${key}` };
  return new HTTPFacilitatorClient({ url: `${BASE}/facilitator`, createAuthHeaders: async () => ({ verify: own, settle: own, supported: {} }) });
}

/** A payment as `@x402/fetch` makes it, with the requirement that it was made for. */
async function bought(key, version, buyer = wallet()) {
  const offer = await challenge(key, { amount: '0.05', network: 'base', resource: RESOURCE });
  const required = version === 2 ? decode(offer.headers.get('payment-required')) : await offer.json();
  const payment = await client(buyer.account).createPaymentPayload(required);
  assert.equal(payment.x402Version, version);
  return { payment, requirement: required.accepts[0], payer: buyer.account.address };
}

describe('the facilitator', { concurrency: false }, () => {
  it('says what it takes, in the words of both versions', async () => {
    const { rawKey } = await seller('a shop');
    const { kinds, signers } = await facilitator(rawKey).getSupported();
    const has = (x402Version, network) => kinds.some((it) => it.x402Version === x402Version && it.scheme === 'exact' && it.network === network);
    assert.ok(has(1, 'base') && has(1, 'base-sepolia'));
    assert.ok(has(2, 'eip155:8453') && has(2, 'eip155:84532'));
    assert.ok(!has(2, 'base') && !has(1, 'eip155:8453'));
    assert.equal(typeof signers, 'object');
  });

  for (const version of [1, 2]) {
    it(`verifies and settles a payment of version ${version} once, whoever asks how often`, async () => {
      const { rawKey } = await seller('a shop');
      const its = facilitator(rawKey);
      const { payment, requirement, payer } = await bought(rawKey, version);
      const verdict = await its.verify(payment, requirement);
      assert.deepEqual([verdict.isValid, verdict.payer.toLowerCase()], [true, payer.toLowerCase()]);

      const settled = await Promise.all(Array.from({ length: 10 }, () => its.settle(payment, requirement)));
      settled.push(await its.settle(payment, requirement));
      for (const one of settled) assert.deepEqual(one, settled[0]);
      assert.equal(settled[0].success, true);
      assert.equal(settled[0].network, version === 2 ? 'eip155:8453' : 'base');
      assert.match(settled[0].transaction, /^0x[0-9a-f]{64}$/);

      const used = await its.verify(payment, requirement);
      assert.deepEqual([used.isValid, used.invalidReason], [false, 'invalid_exact_evm_nonce_already_used']);
    });

    it(`refuses a payment of version ${version} that is no good, with the reference's word`, async () => {
      const { rawKey } = await seller('a shop');
      const its = facilitator(rawKey);
      const { payment, requirement } = await bought(rawKey, version);
      const dearer = version === 2 ? { ...requirement, amount: '60000' } : { ...requirement, maxAmountRequired: '60000' };
      const word = version === 2 ? 'invalid_exact_evm_payload_authorization_value_mismatch' : 'invalid_exact_evm_authorization_value';
      const forged = structuredClone(payment);
      forged.payload.authorization.validBefore = String(Number(forged.payload.authorization.validBefore) + 1);
      for (const [paid, asked, reason] of [
        [payment, dearer, word],
        [payment, { ...requirement, payTo: wallet().account.address }, 'invalid_exact_evm_recipient_mismatch'],
        [forged, requirement, 'invalid_exact_evm_signature'],
      ]) {
        const verdict = await its.verify(paid, asked);
        assert.deepEqual([verdict.isValid, verdict.invalidReason], [false, reason]);
        const { success, errorReason, transaction } = await its.settle(paid, asked);
        assert.deepEqual([success, errorReason, transaction], [false, reason, '']);
      }
      assert.equal((await its.settle(payment, requirement)).success, true, 'the refusals used nothing');
    });
  }

  it('settles nothing again for the seller who redeems it too', async () => {
    const { rawKey } = await seller('a shop');
    const { payment, requirement } = await bought(rawKey, 1);
    const settled = await facilitator(rawKey).settle(payment, requirement);
    assert.equal(settled.success, true);
    const paymentHeader = Buffer.from(JSON.stringify(payment)).toString('base64');
    const body = { paymentHeader, resource: RESOURCE, amount: '0.05', network: 'base' };
    const redeemed = await call(rawKey, 'POST', '/v0/payments/redeem', { body });
    assert.deepEqual([redeemed.ok, redeemed.txHash], [true, settled.transaction]);
    assert.equal((await call(rawKey, 'GET', '/v0/payments')).count, 1);
  });

  it('refuses who shows no key', async () => {
    const { rawKey } = await seller('a shop');
    const { payment, requirement } = await bought(rawKey, 2);
    const stranger = new HTTPFacilitatorClient({ url: `${BASE}/facilitator` });
    await assert.rejects(stranger.verify(payment, requirement), /401/);
    await assert.rejects(stranger.settle(payment, requirement), /401/);
  });
});
