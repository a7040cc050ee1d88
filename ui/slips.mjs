// Invoices at their pay links, in every state, for tests and pictures.
import { call, register } from './people.mjs';

/** A company that is paid in USDC; `make` gives an invoice of its own: `{path, act, owner}`. */
export async function biller(base) {
  const { headers } = await register(base);
  const send = (method, path, body) => call(base, method, `/api/v1/${path}`, { body, headers });
  const project = await send('POST', 'loomal/projects/', { name: 'Bikes', purpose: 'SELLER' });
  await send('PATCH', `companies/${headers['x-company-id']}/`, { settings: { payments: { usdc_project: project.id } } });
  return async ({ title = 'Two bicycles and a pump', amount = '128.50', currency = 'USD' } = {}) => {
    const { id } = await send('POST', 'payments/invoices/', { title, amount, currency });
    await send('POST', `payments/invoices/${id}/finalize/`, {});
    const link = await send('POST', `payments/invoices/${id}/pay-link/`, {});
    const act = (action, body = {}) => send('POST', `payments/invoices/${id}/${action}/`, body);
    const revoke = () => send('POST', `payments/payment-links/${link.id}/deactivate/`, {});
    const read = () => send('GET', `payments/invoices/${id}/`);
    return { path: new URL(link.url).pathname, link, act, revoke, read };
  };
}

/** Has a wallet that the page was given pay, and waits until the page says so. */
export async function payBy(page) {
  await page.locator('[data-pay]').click();
  await page.locator('#slip[data-state="paid"]').waitFor();
}

/** The states that a page of a slip shows; `open` brings the tab there. */
export const SLIPS = [
  { name: 'unpaid', state: 'unpaid', prepare: async () => {} },
  { name: 'partly-paid', state: 'unpaid', prepare: (slip) => slip.act('record-payment', { amount: '28.50', method: 'cash' }) },
  { name: 'paid-otherwise', state: 'paid', prepare: (slip) => slip.act('mark-paid', {}) },
  { name: 'void', state: 'void', prepare: (slip) => slip.act('void', { reason: 'Made twice' }) },
];
