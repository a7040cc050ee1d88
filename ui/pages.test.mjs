// What only a browser can tell about the pages. Runs against a loopd that is up already: LOOP_BASE_URL names it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PAGES, launch } from './browser.mjs';
import { faintTexts, namelessControls, sidewaysPixels } from './looks.mjs';

const base = process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';
let browser;

/** Opens `path`, hands the tab to `look`, and fails on whatever the watcher saw. */
const visit = (path, look, options) => browser.visit(base, options, async (page) => {
  // ReDoc draws all operations before a page counts as loaded: half a minute with a debug build on a full machine.
  await page.goto(new URL(path, base).href, { waitUntil: 'load', timeout: 120_000 });
  await look(page);
});

describe('pages', { concurrency: false }, () => {
  before(async () => { browser = await launch(); });
  after(async () => { await browser.close(); });

  for (const { name, path, ready } of PAGES) {
    it(`${name} is quiet, asks no other host and does not scroll sideways at 360 px`, () => visit(path, async (page) => {
      await page.locator(ready).first().waitFor({ timeout: 120_000 });
      const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
      assert.ok(scroll <= client, `${scroll} px of page in ${client} px of window`);
      for (const fold of await page.locator('main details:not([open]) > summary').all()) if (await fold.isVisible()) await fold.click();
      const wide = await page.evaluate(sidewaysPixels);
      assert.ok(wide <= 0, `${wide} px too wide with all folds open`);
    }, { width: 360, height: 740 }));

    it(`${name} has its landmarks, one title and a name for every control`, () => visit(path, async (page) => {
      await page.locator(ready).first().waitFor({ timeout: 120_000 });
      assert.equal(await page.getByRole('main').count(), 1);
      assert.equal(await page.locator('body > header nav').count(), 1);
      assert.equal(await page.locator('body > footer').count(), 1);
      assert.ok((await page.locator('main h1').count()) >= 1);
      assert.deepEqual(await page.evaluate(namelessControls), []);
    }));
  }

  for (const scheme of ['light', 'dark']) {
    for (const { name, path, ready } of PAGES.filter(({ name }) => !['swagger', 'redoc'].includes(name))) {
      it(`${name} keeps AA contrast in the ${scheme} theme`, () => visit(path, async (page) => {
        await page.locator(ready).first().waitFor();
        for (const fold of await page.locator('main details:not([open]) > summary').all()) if (await fold.isVisible()) await fold.click();
        assert.deepEqual(await page.evaluate(faintTexts), []);
      }, { scheme }));
    }
  }

  for (const scheme of ['light', 'dark']) {
    it(`an opened call in Swagger UI fits a phone and keeps AA contrast in the ${scheme} theme`, () => visit('/api/docs/?module=booking', async (page) => {
      await page.locator('[data-ready] .opblock-tag').first().waitFor({ timeout: 120_000 });
      await page.locator('.opblock-post .opblock-summary-control').first().click();
      await page.locator('.opblock.is-open .responses-table .microlight').first().waitFor();
      const wide = await page.evaluate(sidewaysPixels);
      assert.ok(wide <= 0, `${wide} px too wide`);
      assert.deepEqual(await page.evaluate(faintTexts), []);
    }, { width: 360, height: 740, scheme }));
  }

  it('the reference says from which state to which an action leads', () => visit('/api/developers/#booking-appointments', async (page) => {
    const confirm = page.locator('#booking-appointments tr', { hasText: '/appointments/{id}/confirm/' });
    assert.match(await confirm.innerText(), /pending.* → confirmed/);
  }));

  it('the reference shows all of a field on a phone without scrolling a table', () => visit('/api/developers/#booking-appointments', async (page) => {
    const tables = page.locator('#booking-appointments .table');
    assert.equal(await tables.count(), 2);
    for (const table of await tables.all()) {
      const { scroll, client } = await table.evaluate((box) => ({ scroll: box.scrollWidth, client: box.clientWidth }));
      assert.ok(scroll <= client, `${scroll} px of table in ${client} px`);
    }
  }, { width: 360, height: 740 }));

  it('the first Tab reaches a link that skips to the content', () => visit('/', async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), '#main');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  }));

  it('an example is copied as it is shown, in the chosen language', () => visit('/', async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(base).origin }).catch(() => {});
    const example = page.locator('#example-1');
    await example.locator('[data-copy]').click();
    await example.getByText('Copied').waitFor();
    const shown = await example.locator('[data-language="curl"] pre').textContent();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), shown);
    assert.match(shown, /^curl -X POST http\S+\/api\/v1\/auth\/register\/ \\\n  -H "Authorization: Bearer <access_token>" \\\n/);
  }));

  it('choosing a language changes every example', () => visit('/', async (page) => {
    await page.locator('#example-1 label', { hasText: 'Python' }).click();
    for (const number of [1, 7, 10]) {
      assert.ok(await page.locator(`#example-${number} [data-language="Python"]`).isVisible());
      assert.ok(!(await page.locator(`#example-${number} [data-language="curl"]`).isVisible()));
    }
  }));

  it('a pasted token and company fill the examples and cannot break out of their quotes', () => visit('/', async (page) => {
    await page.locator('[data-fill="access_token"]').fill('abc.def"; rm -rf');
    await page.locator('[data-fill="company"]').fill('002');
    const shown = await page.locator('#example-4 [data-language="curl"] pre').textContent();
    assert.match(shown, /"Authorization: Bearer abc\.defrm-rf"/);
    assert.match(shown, /"X-Company-ID: 002"/);
  }));

  it('without script the tabs still change and the page is whole', () => visit('/', async (page) => {
    await page.locator('#example-2 label', { hasText: 'JavaScript' }).click();
    assert.ok(await page.locator('#example-2 [data-language="JavaScript"]').isVisible());
    assert.equal(await page.locator('[data-copy]:visible').count(), 0);
  }, { script: false }));

  it('the theme button goes from the system\'s to light to dark and is remembered', () => visit('/', async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.locator('[data-theme-toggle]').click();
    await page.locator('[data-theme-toggle]').click();
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    assert.equal(await ground(), dark);
  }));

  it('Swagger UI and ReDoc show the schema that the server gives', async () => {
    const schema = await (await fetch(new URL('/api/schema/?format=json', base))).json();
    const tag = Object.values(schema.paths).flatMap((path) => Object.values(path)).flatMap((operation) => operation.tags ?? [])[0];
    for (const { path, ready } of PAGES.filter(({ name }) => ['swagger', 'redoc'].includes(name))) {
      await visit(path, async (page) => {
        await page.locator(ready).first().waitFor({ timeout: 120_000 });
        const text = await page.locator('[data-reader]').innerText();
        assert.ok(text.includes(schema.info.title), `${path} does not name ${schema.info.title}`);
        assert.ok(text.toLowerCase().includes(tag.toLowerCase()), `${path} does not show ${tag}`);
      });
    }
  });

  it('the readers show one part of LOOP at a time, and another when it is chosen', async () => {
    for (const { name, path, ready } of PAGES.filter(({ name }) => ['swagger', 'redoc'].includes(name))) {
      await visit(path, async (page) => {
        await page.locator(ready).first().waitFor({ timeout: 120_000 });
        const sections = async () => (await page.locator('[data-reader] :is(h1, h2, .opblock-tag)').allInnerTexts()).map((text) => text.trim().toLowerCase());
        const isShown = async (tag) => (await sections()).some((text) => text.startsWith(tag));
        assert.ok(await isShown('companies') && !(await isShown('protector')), `${name} shows the foundation, and no more`);
        await page.locator('#part').selectOption({ label: 'Protector' });
        await page.waitForURL(/module=protector/);
        await page.locator(ready).first().waitFor({ timeout: 120_000 });
        assert.ok(await isShown('protector') && !(await isShown('companies')), `${name} shows what was chosen`);
        assert.equal(await page.locator('#part').inputValue(), 'protector');
      });
    }
  });

  it('the finder on the reference page hides what does not match', () => visit('/api/developers/', async (page) => {
    const resources = page.locator('.module [data-find]:visible');
    const all = await resources.count();
    await page.locator('#find').fill('appointments');
    const found = await resources.count();
    assert.ok(found >= 1 && found < all, `${found} of ${all}`);
  }));
});
