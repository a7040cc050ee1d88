// Pay links: what people see there, in every language and look, and paying with a wallet that the browser has.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SLIPS, biller, payBy } from './slips.mjs';
import { launch } from './browser.mjs';
import { inspect } from './looks.mjs';
import { LANGUAGES } from './people.mjs';
import { giveWallet } from './wallet.mjs';

const base = process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';
let browser;
let make;

/** Opens a slip; a program's 402 and a page's 410 are no faults here. */
const visit = (path, look, options = {}, prepare = async () => {}) => browser.visit(base, { refused: true, ...options }, async (page) => {
  await prepare(page);
  await page.goto(new URL(path, base).href, { waitUntil: 'load' });
  await look(page);
});

describe('pay links', { concurrency: false }, () => {
  before(async () => {
    browser = await launch();
    make = await biller(base);
  });
  after(async () => { await browser.close(); });

  for (const { name, state, prepare } of SLIPS) {
    for (const locale of LANGUAGES) {
      it(`a slip that is ${name} is readable in ${locale}, on a phone, light and dark`, async () => {
        const slip = await make();
        await prepare(slip);
        await visit(slip.path, async (page) => {
          assert.equal(await page.locator('#slip').getAttribute('data-state'), state);
          assert.equal(await page.locator('html').getAttribute('lang'), locale);
          for (const fold of await page.locator('details:not([open]) > summary').all()) await fold.click();
          await inspect(page);
        }, { locale, width: 360, height: 740 });
      });
    }
  }

  it('says what is due, in what, and that it is a sandbox; without script as well', async () => {
    const slip = await make({ amount: '12.5' });
    await visit(slip.path, async (page) => {
      const text = await page.locator('#slip').innerText();
      for (const words of ['Kigali Bikes', '12.50', '12.50 USDC', 'Base', 'sandbox', 'Not paid yet']) assert.ok(text.includes(words), `${words} in ${text}`);
      assert.equal(await page.getByRole('img', { name: 'QR code with the address of this page' }).count(), 1);
      assert.equal(await page.locator('[data-pay]').isVisible(), false);
      assert.equal(await page.locator('[data-no-wallet]').isVisible(), true);
    }, { script: false });
  });

  it('a wallet pays it once, and the page shows the signed receipt', async () => {
    const slip = await make();
    let address;
    await visit(slip.path, async (page) => {
      await payBy(page);
      const receipt = page.locator('details.receipt');
      await receipt.locator('summary').click();
      const text = (await receipt.innerText()).toLowerCase();
      assert.ok(text.includes(address) && text.includes('128.50 usdc'), text);
      await inspect(page);
    }, {}, async (page) => { address = await giveWallet(page); });
    const invoice = await slip.read();
    assert.deepEqual([invoice.status, invoice.amount_paid, invoice.usdc_receipts.length], ['paid', '128.50', 1]);
    assert.equal(invoice.usdc_receipts[0].receipt.body.payerAddress.toLowerCase(), address);
  });

  it('who says no in the wallet has paid nothing and may try again', async () => {
    const slip = await make();
    await visit(slip.path, async (page) => {
      await page.locator('[data-pay]').click();
      await page.getByRole('alert').filter({ hasText: 'Nothing was paid' }).waitFor();
      assert.equal(await page.locator('[data-pay]').isEnabled(), true);
    }, {}, (page) => giveWallet(page, { declines: true }));
    assert.equal((await slip.read()).status, 'open');
  });

  it('a page that is open sees that somebody else has paid', async () => {
    const slip = await make();
    await visit(slip.path, async (page) => {
      await slip.act('mark-paid', {});
      await page.locator('#slip[data-state="paid"]').waitFor({ timeout: 20_000 });
    });
  });

  it('a link that was taken back shows nothing of the invoice', async () => {
    const slip = await make();
    await slip.revoke();
    await visit(slip.path, async (page) => {
      assert.equal(await page.locator('#slip').count(), 0);
      assert.ok(!(await page.locator('main').innerText()).includes('Kigali Bikes'));
      await inspect(page);
    });
  });
});
