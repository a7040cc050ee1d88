// `node shots.mjs [base URL] [folder]`: pictures of every page of a running loopd, light, dark and on a phone.
// Fails when a page complains, breaks its policy, asks another host or scrolls sideways.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SLIPS, biller, payBy } from './slips.mjs';
import { PAGES, launch } from './browser.mjs';
import { sidewaysPixels } from './looks.mjs';
import { ACCOUNT_PAGES, LANGUAGES, SCRIPTED_PAGES, letter, openAccountPage, openScriptedPage, register } from './people.mjs';
import { giveWallet } from './wallet.mjs';

const base = process.argv[2] ?? process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';
const folder = process.argv[3] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'shots');
const LOOKS = [
  { look: 'light', width: 1280, height: 900, scheme: 'light' },
  { look: 'dark', width: 1280, height: 900, scheme: 'dark' },
  { look: 'phone', width: 390, height: 844, scheme: 'light' },
  { look: 'phone-dark', width: 390, height: 844, scheme: 'dark' },
];

/** Pixels; what headless Chromium paints without a GPU. */
const TALLEST = 8000;

/** The frame's pages are in English; those behind letters in every language of letters. */
const frame = PAGES.map(({ name, path, ready }) => ({ name, open: async (page) => {
  await page.goto(new URL(path, base).href, { waitUntil: 'load' });
  await page.locator(ready).first().waitFor({ timeout: 120_000 });
} }));
const mailbox = [
  ['mailbox', async () => { await register(base); return '/sandbox/mail/'; }],
  ['mailbox-letter', async () => (await letter(base, (await register(base)).email, 'verify-email')).page],
  ['mailbox-html', async () => `${(await letter(base, (await register(base)).email, 'verify-email')).page}html/`],
  ['not-found', async () => '/no/such/page/', true],
].map(([name, path, refused]) => ({ name, refused, open: async (page) => { await page.goto(new URL(await path(), base).href); } }));
const account = ACCOUNT_PAGES.flatMap((one) => LANGUAGES.map((locale) => ({
  name: `account-${one.name}-${locale}`, locale, refused: one.refused, open: (page) => openAccountPage(base, page, one, locale),
})));
const scripted = SCRIPTED_PAGES.flatMap((one) => LANGUAGES.map((locale) => ({
  name: `account-${one.name}-${locale}`, locale, refused: true, open: (page) => openScriptedPage(base, page, one, locale),
})));

/** A slip in each state; the last is paid by a wallet, and shows its receipt. */
const slips = [...SLIPS, { name: 'paid', prepare: async () => {}, pays: true }].flatMap((one) => LANGUAGES.map((locale) => ({
  name: `pay-${one.name}-${locale}`, locale, refused: true, open: async (page) => {
    const slip = await (await biller(base))();
    await one.prepare(slip);
    if (one.pays) await giveWallet(page);
    await page.goto(new URL(slip.path, base).href, { waitUntil: 'load' });
    if (one.pays) await payBy(page);
    for (const fold of await page.locator('details:not([open]) > summary').all()) await fold.click();
  },
})));

/** `SHOTS=account` takes those whose names hold the word. */
const wanted = process.env.SHOTS ?? '';
const isWanted = ({ name }) => name.includes(wanted);

/** Takes the tab's picture, whole and as the first look finds it. */
async function picture(page, name, look, view, faults) {
  const overflow = await page.evaluate(sidewaysPixels);
  if (overflow > 0) faults.push(`${look} scrolls sideways by ${overflow} px`);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const take = (ending, options) => page.screenshot({ path: join(folder, `${name}-${look}${ending}.png`), animations: 'disabled', timeout: 120_000, ...options });
  if (height > view.height) await take('-top');
  if (height <= TALLEST) return take('', { fullPage: true });
  // A reader with hundreds of operations is taller than the browser can paint, and asking for all of it lays all of it out; the top tells enough.
  await page.setViewportSize({ width: view.width, height: TALLEST });
  return take('');
}

mkdirSync(folder, { recursive: true });
const browser = await launch();
let faultCount = 0;

/** Opens a page and takes its picture in each of `looks`. */
async function shoot({ name, open, locale, refused }, looks) {
  const { page, faults, close } = await browser.open(base, { ...looks[0], locale, refused });
  try {
    await open(page);
    for (const { look, ...view } of looks) {
      await page.setViewportSize({ width: view.width, height: view.height });
      await page.emulateMedia({ colorScheme: view.scheme, reducedMotion: 'reduce' });
      await picture(page, name, look, view, faults);
    }
  } catch (error) {
    faults.push(error.message);
  }
  faultCount += faults.length;
  console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${name} ${looks.map(({ look }) => look).join(', ')}`);
  for (const fault of faults) console.log(`       ${fault}`);
  await close();
}

// The readers of the schema choose their theme when they are opened; a page without script is the same page in every look.
for (const look of LOOKS) for (const page of frame.filter(isWanted)) await shoot(page, [look]);
for (const page of [...mailbox, ...account, ...scripted, ...slips].filter(isWanted)) await shoot(page, LOOKS);
await browser.close();
console.log(`pictures in ${folder}`);
process.exit(faultCount === 0 ? 0 : 1);
