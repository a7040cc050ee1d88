// An invoice of the module `payments` is paid at its pay link, by every buyer that other people wrote.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BUYERS, client, wallet } from './buyers.mjs';
import { verifyRedeemed } from './receipts.mjs';
import { BASE, call, decode, seller } from './world.mjs';

/** The owner who scripts/clients.sh registered, in their company. */
async function owner() {
  const body = JSON.stringify({ email: 'ada@example.com', password: 'strongpass123' });
  const headers = { 'Content-Type': 'application/json' };
  const { access, company } = await (await fetch(`${BASE}/api/v1/auth/login/`, { method: 'POST', headers, body })).json();
  return async (method, path, sent, status = 200) => {
    const answer = await fetch(`${BASE}/api/v1/${path}`, {
      method,
      headers: { ...headers, Authorization: `Bearer ${access}`, 'X-Company-ID': company?.code ?? '001' },
      body: sent && JSON.stringify(sent),
    });
    const text = await answer.text();
    assert.equal(answer.status, status, `${method} ${path}: ${text}`);
    return JSON.parse(text);
  };
}

/** An issued invoice that a new project is paid for, with its pay link; over what every buyer pays unasked: x402-fetch stops at 0.10. */
async function billed() {
  const [ada, project] = [await owner(), await seller('an invoicing company')];
  await ada('PATCH', 'companies/001/', { settings: { payments: { usdc_project: project.identityId } } });
  const { id } = await ada('POST', 'payments/invoices/', { title: 'Tea', amount: '0.05', currency: 'USD' }, 201);
  await ada('POST', `payments/invoices/${id}/finalize/`, {});
  const { url } = await ada('POST', `payments/invoices/${id}/pay-link/`, {});
  return { ada, project, id, url };
}

describe('an invoice', { concurrency: false }, () => {
  for (const [buys, buy] of Object.entries(BUYERS)) {
    it(`is paid at its pay link by ${buys}`, async () => {
      const { ada, project, id, url } = await billed();
      const { status, body, settled } = await buy(url, wallet());
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual([body.status, body.amount, body.usdc, body.sandbox], ['paid', '0.05', '0.05', true]);
      assert.equal(settled.success, true);
      assert.equal(settled.transaction, body.transaction);
      verifyRedeemed({ ok: true, signedReceipt: body.receipt, txHash: body.transaction, payer: body.payer, paymentInId: body.payment });

      const invoice = await ada('GET', `payments/invoices/${id}/`);
      assert.deepEqual([invoice.status, invoice.amount_paid, invoice.amount_overpaid], ['paid', '0.05', '0.00']);
      assert.deepEqual(invoice.usdc_receipts[0].receipt, body.receipt);
      const { payments } = await call(project.rawKey, 'GET', '/v0/payments');
      assert.deepEqual([payments.length, payments[0].txHash], [1, body.transaction]);
      assert.equal((await fetch(url)).status, 409, 'nothing more is asked');
    });
  }

  it('is paid by one of two buyers who pay at the same moment', async () => {
    const { ada, project, id, url } = await billed();
    const required = decode((await fetch(url)).headers.get('payment-required'));
    const pay = async () => {
      const payload = await client(wallet().account).createPaymentPayload(required);
      const header = Buffer.from(JSON.stringify(payload)).toString('base64');
      return fetch(url, { headers: { 'PAYMENT-SIGNATURE': header } });
    };
    const answers = await Promise.all([pay(), pay()]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
    assert.equal((await ada('GET', `payments/invoices/${id}/`)).amount_paid, '0.05');
    assert.equal((await call(project.rawKey, 'GET', '/v0/payments')).count, 1);
  });
});
