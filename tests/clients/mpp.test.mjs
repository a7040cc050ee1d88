// MPP's scheme `Payment` by `mppx`, unmodified: its client buys from sellers of ours, and its server's half judges the same credentials.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Challenge, Credential, Errors, Receipt, evm } from 'mppx';
import { Fetch, evm as client } from 'mppx/client';
import { evm as server } from 'mppx/server';
import { BUYERS, wallet } from './buyers.mjs';
import { verifyDetail, verifyRedeemed } from './receipts.mjs';
import { challenge, openShop } from './shop.mjs';
import { call, seller } from './world.mjs';

const USDC = evm.assets.base.USDC;

/** `fetch` as mppx pays with it; a cent too much is not paid. */
const paying = (account) => Fetch.from({ methods: [client.charge({ account, currencies: [USDC], maxAmount: '0.05' })] });

/** What mppx offers for a challenge that it reads in our headers. */
async function offered(key, asked) {
  const offer = await challenge(key, { amount: '0.05', network: 'base', resource: 'https://api.example.com/weather', mpp: {}, ...asked });
  return Challenge.fromHeaders(offer.headers);
}

/** The credential that mppx makes for a challenge. */
async function signed(account, asked) {
  const method = client.charge({ account, currencies: [USDC] });
  return Credential.deserialize(await method.createCredential({ challenge: asked }));
}

const SHOPS = {
  'MPP alone': { speaksX402: false, mpp: {} },
  'MPP and both versions of x402': { speaksBoth: true, mpp: { externalId: 'order-7' } },
};

for (const [name, shape] of Object.entries(SHOPS)) {
  describe(`a shop with ${name}`, { concurrency: false }, () => {
    it('is paid by mppx', async () => {
      const project = await seller('a shop');
      const { account } = wallet();
      const shop = await openShop(project.rawKey, shape);
      try {
        const response = await paying(account)(shop.url);
        assert.equal(response.status, 200, await response.clone().text());
        assert.deepEqual(await response.json(), { weather: 'rain' });
        const { payments, count } = await call(project.rawKey, 'GET', '/v0/payments');
        assert.equal(count, 1);
        const [paid] = payments;
        assert.deepEqual([paid.status, paid.amountUsdcRaw, paid.payerAddress], ['settled', '50000', account.address]);
        assert.equal(paid.resourceUrl, shop.url.split('?')[0]);
        await verifyDetail(await call(project.rawKey, 'GET', `/v0/payments/${paid.id}`), project.identityId);

        const [sale] = shop.sales;
        verifyRedeemed(sale.redeemed);
        const credential = Credential.deserialize(sale.header);
        const receipt = Receipt.fromResponse(response);
        assert.deepEqual(receipt, {
          status: 'success', method: 'evm', reference: paid.txHash, timestamp: paid.settledAt, chainId: 8453,
          challengeId: credential.challenge.id, ...shape.mpp,
        });
      } finally {
        await shop.close();
      }
    });
  });
}

describe('a shop with every protocol', { concurrency: false }, () => {
  for (const [name, buy] of Object.entries(BUYERS)) {
    it(`is paid by ${name}, too`, async () => {
      const project = await seller('a shop');
      const shop = await openShop(project.rawKey, { speaksBoth: true, mpp: {} });
      try {
        const { status, body, settled } = await buy(shop.url, wallet());
        assert.deepEqual([status, body, settled.success], [200, { weather: 'rain' }, true]);
        assert.equal(shop.sales[0].redeemed.paymentReceipt, undefined);
      } finally {
        await shop.close();
      }
    });
  }

  it('tells a buyer whose signature is another\'s what is wrong, and asks anew', async () => {
    const { rawKey } = await seller('a shop');
    const shop = await openShop(rawKey, { mpp: {} });
    try {
      const [{ account }, stranger] = [wallet(), wallet()];
      const forged = { ...account, signTypedData: (typed) => stranger.account.signTypedData(typed) };
      const response = await paying(forged)(shop.url);
      assert.equal(response.status, 402);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      assert.equal((await response.clone().json()).type, new Errors.VerificationFailedError().type);
      const fresh = Challenge.fromResponse(response);
      assert.equal((await response.json()).challengeId, fresh.id);
      assert.notEqual(fresh.id, Credential.deserialize(shop.sales[0].header).challenge.id);
      assert.equal((await call(rawKey, 'GET', '/v0/payments')).count, 0);
    } finally {
      await shop.close();
    }
  });
});

describe('one credential brought again', { concurrency: false }, () => {
  it('ten times at once and again later is one settlement, and the same success to all', async () => {
    const { rawKey } = await seller('a busy shop');
    const paymentHeader = Credential.serialize(await signed(wallet().account, await offered(rawKey)));
    const body = { paymentHeader, resource: 'https://api.example.com/weather', amount: '0.05', network: 'base', mpp: {} };
    const redeem = () => call(rawKey, 'POST', '/v0/payments/redeem', { body });
    const [first, ...others] = await Promise.all(Array.from({ length: 10 }, redeem));
    assert.equal(first.ok, true, JSON.stringify(first));
    for (const other of [...others, await redeem()]) assert.deepEqual(other, first);
    assert.equal((await call(rawKey, 'GET', '/v0/payments')).count, 1);
  });
});

// What each changes of a good credential, once it is signed or before.
const CHANGES = {
  nothing: {},
  'another amount': { after: ({ payload }) => { payload.value = '49999'; } },
  'another recipient': { after: ({ payload }) => { payload.to = payload.from; } },
  'another payer': { after: ({ payload }) => { payload.from = payload.to; } },
  'another end': { after: ({ payload }) => { payload.validBefore = String(Number(payload.validBefore) + 1); } },
  'an end that is over': {
    before: (asked) => { asked.expires = '2026-01-01T00:00:00.000Z'; },
    after: (credential, { expires }) => { credential.challenge.expires = expires; },
  },
  'a beginning to come': { after: ({ payload }) => { payload.validAfter = '99999999999'; } },
  'another nonce': { after: ({ payload }) => { payload.nonce = `0x${'07'.repeat(32)}`; } },
  // Its `s` with the last bit turned: for every such one there is a signer, another one. To half of the other `r`s there is no point, and
  // then mppx throws an error without a type.
  'another signature': {
    after: ({ payload }) => {
      payload.signature = payload.signature.replace(/^(0x.{127})(.)/, (_, begin, last) => begin + (Number.parseInt(last, 16) ^ 1).toString(16));
    },
  },
  'another source': { after: (credential) => { credential.source = 'did:pkh:eip155:8453:0x0000000000000000000000000000000000000001'; } },
  'a source on another chain': { after: (credential) => { credential.source = credential.source.replace('8453', '1'); } },
  'no source': { after: (credential) => { delete credential.source; } },
  'addresses in lower case': {
    after: ({ payload }) => { for (const name of ['from', 'to']) payload[name] = payload[name].toLowerCase(); },
  },
  'the nonce of another challenge': {
    before: (asked) => { asked.id = 'x7Tg2pLqR9mKvNwY3hBcZa'; },
    after: (credential, { id }) => { credential.challenge.id = id; },
  },
  'the nonce of another realm': {
    before: (asked) => { asked.realm = 'evil.example'; },
    after: (credential, { realm }) => { credential.challenge.realm = realm; },
  },
};

describe('a credential with', { concurrency: false }, () => {
  for (const [name, { before = () => {}, after = () => {} }] of Object.entries(CHANGES)) {
    it(`${name} has the same verdict from mppx's server`, async () => {
      const { rawKey } = await seller('a shop');
      const asked = await offered(rawKey);
      const copy = structuredClone(asked);
      before(copy);
      const credential = structuredClone(await signed(wallet().account, copy));
      after(credential, asked);

      const method = server.charge({ currency: USDC, recipient: asked.request.recipient, settle: async () => ({ reference: '0x' }) });
      const theirs = await method.validate({ credential }).then(() => null, (error) => error);
      const body = { paymentHeader: Credential.serialize(credential), resource: 'https://api.example.com/weather', amount: '0.05', network: 'base', mpp: {} };
      const ours = await call(rawKey, 'POST', '/v0/payments/redeem', { body });
      assert.equal(ours.ok, theirs === null, `mppx: ${theirs}; here: ${JSON.stringify(ours)}`);
      // Theirs calls an authorization that is over a failed verification; the draft has a word of its own for it, which ours uses.
      const type = name === 'an end that is over' ? new Errors.PaymentExpiredError().type : theirs?.type;
      assert.equal(ours.problem?.type, type);
    });
  }
});
