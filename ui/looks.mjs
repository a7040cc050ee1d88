// What every page must look like. Most of it is asked in the page itself: hand these to `page.evaluate`.
import assert from 'node:assert/strict';

/** What must hold of any page of ours for people, in both themes. */
export async function inspect(page) {
  assert.equal(await page.getByRole('main').count(), 1);
  assert.equal(await page.locator('h1:visible').count(), 1);
  assert.deepEqual(await page.evaluate(namelessControls), []);
  assert.deepEqual(await page.evaluate(smallTargets), []);
  assert.equal(await page.evaluate(sidewaysPixels), 0);
  await inspectColours(page);
}

export async function inspectColours(page) {
  for (const colorScheme of ['light', 'dark']) {
    // At once, or colours would be read on their way.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual(await page.evaluate(faintTexts), [], colorScheme);
  }
}

/** How far the page scrolls sideways; nobody reads a shop's page that way. */
export const sidewaysPixels = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;

/** Controls that a screen reader could not name. */
export function namelessControls() {
  return [...document.querySelectorAll('a, button, input:not([type="hidden"])')]
    // What Swagger UI and ReDoc draw is theirs to name.
    .filter((element) => !element.closest('[data-reader]'))
    .filter((element) => !(element.textContent.trim() || element.getAttribute('aria-label') || element.labels?.length || element.querySelector('[aria-label]')))
    .map((element) => element.outerHTML.slice(0, 120));
}

/** Controls that a thumb misses: below 24 by 24 px and not in a sentence, WCAG 2.2 criterion 2.5.8. */
export function smallTargets() {
  return [...document.querySelectorAll('button, input:not([type="hidden"]), a.button')]
    .filter((element) => element.checkVisibility())
    .filter((element) => { const box = element.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
    .map((element) => element.outerHTML.slice(0, 120));
}

/** Runs in the page: texts below 4.5 to 1 (3 to 1 when large), WCAG 2.2 criterion 1.4.3. */
export function faintTexts() {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  // The canvas turns any colour the style may hold into red, green, blue and alpha.
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, under) => [0, 1, 2].map((index) => top[index] * top[3] + under[index] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest('.unseen, .skip')) continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    const [lighter, darker] = [luminance(over(rgba(style.color), under)), luminance(under)].sort((a, b) => b - a);
    const ratio = (lighter + 0.05) / (darker + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faint.add(`${ratio.toFixed(2)} ${element.tagName.toLowerCase()}.${element.className} ${text.slice(0, 40)}`);
  }
  return [...faint];
}
