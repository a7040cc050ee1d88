// `node shots.mjs [base URL] [folder]`: pictures of every page of a running loopd, light, dark and on a phone.
// Fails when a page complains, breaks its policy, asks another host or scrolls sideways.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PAGES, launch } from './browser.mjs';

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

mkdirSync(folder, { recursive: true });
const browser = await launch();
let faultCount = 0;
for (const { look, ...view } of LOOKS) {
  for (const { name, path, ready } of PAGES) {
    const { page, faults, close } = await browser.open(base, view);
    try {
      await page.goto(new URL(path, base).href, { waitUntil: 'load' });
      await page.locator(ready).first().waitFor({ timeout: 120_000 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) faults.push(`scrolls sideways by ${overflow} px`);
      // A reader with hundreds of operations is taller than the browser can paint at once; the top tells enough.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      const clip = { x: 0, y: 0, width: view.width, height: Math.min(height, TALLEST) };
      await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true, clip, animations: 'disabled' });
      await page.screenshot({ path: join(folder, `${name}-${look}-top.png`), animations: 'disabled' });
    } catch (error) {
      faults.push(error.message);
    }
    faultCount += faults.length;
    console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${name} ${look}`);
    for (const fault of faults) console.log(`       ${fault}`);
    await close();
  }
}
await browser.close();
console.log(`pictures in ${folder}`);
process.exit(faultCount === 0 ? 0 : 1);
