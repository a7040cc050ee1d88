// The pages behind letters, as people use them: on a phone, in three languages, by keyboard, without script.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launch } from './browser.mjs';
import { inspect, inspectColours, namelessControls, sidewaysPixels } from './looks.mjs';
import { ACCOUNT_PAGES, LANGUAGES, forget, invite, letter, openAccountPage, register } from './people.mjs';

const base = process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';
let browser;

const visit = (options, look) => browser.visit(base, options, look);

describe('pages behind letters', { concurrency: false }, () => {
  before(async () => { browser = await launch(); });
  after(async () => { await browser.close(); });

  for (const page of ACCOUNT_PAGES) {
    it(`${page.name} is whole on a phone, in every language and both themes, without script`, async () => {
      const titles = new Set();
      for (const locale of LANGUAGES) {
        await visit({ width: 360, height: 740, script: false, locale, refused: page.refused }, async (tab) => {
          await openAccountPage(base, tab, page, locale);
          assert.equal(await tab.locator('html').getAttribute('lang'), locale);
          titles.add(await tab.title());
          await inspect(tab);
        });
      }
      assert.equal(titles.size, LANGUAGES.length, [...titles].join(', '));
    });
  }

  for (const [name, path, refused] of [
    ['the list of letters', async () => { await register(base); return '/sandbox/mail/'; }],
    ['a letter', async () => (await letter(base, (await register(base)).email, 'verify-email')).page],
    ['a letter as HTML', async () => `${(await letter(base, (await register(base, 'fr')).email, 'verify-email')).page}html/`],
    ['the page that is not there', async () => '/no/such/page/', true],
  ]) {
    it(`${name} is whole on a phone and in both themes`, () => visit({ width: 360, height: 740, refused }, async (page) => {
      await page.goto(new URL(await path(), base).href, { waitUntil: 'load' });
      assert.equal(await page.evaluate(sidewaysPixels), 0);
      assert.deepEqual(await page.evaluate(namelessControls), []);
      await inspectColours(page);
    }));
  }

  it('an invitation is accepted by keyboard alone, in the order in which it is read', () => visit({ script: false }, async (page) => {
    await page.goto(new URL(await invite(base, 'en'), base).href);
    const order = [];
    for (let stop = 0; stop < 4; stop += 1) {
      await page.keyboard.press('Tab');
      order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.value));
      if (order.at(-1) === 'username') await page.keyboard.type(`keza-${Date.now()}`);
      if (order.at(-1) === 'password') await page.keyboard.type('a bicycle for two');
    }
    assert.deepEqual(order, ['username', 'password', 'accept', 'decline']);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  }));

  it('Enter in a field accepts; nobody declines by it', () => visit({ script: false }, async (page) => {
    await page.goto(new URL(await invite(base, 'en'), base).href);
    await page.locator('#username').fill(`keza-${Date.now()}`);
    await page.locator('#password').fill('a bicycle for two');
    await page.locator('#password').press('Enter');
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  }));

  for (const [locale, words] of [['en', /Too short\. .*Use more than digits\./s], ['fr', /Trop court\. .*pas que des chiffres/s], ['rw', /Ni rigufi cyane\. .*imibare gusa/s]]) {
    it(`a complaint is read out with its field, where the reader lands (${locale})`, () => visit({ locale, script: false, refused: true }, async (page) => {
      await page.goto(new URL(await forget(base, locale), base).href);
      await page.locator('#password').fill('12345');
      await page.locator('#password').press('Enter');
      const field = page.locator('#password[aria-invalid="true"]');
      await field.waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
      const described = (await field.getAttribute('aria-describedby')).split(' ');
      const told = await Promise.all(described.map((id) => page.locator(`#${id}`).innerText()));
      assert.match(told.join(' '), words);
      assert.equal(await page.locator('[role="alert"]').count(), 1);
    }));
  }
});
