// Signing in and looking after one's account, with real passkeys: Chromium's virtual authenticator against the real server, by its name.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { launch } from './browser.mjs';
import { inspect } from './looks.mjs';
import { LANGUAGES, PASSWORD, addPasskey, call, isIn, letter, openSignIn, prove, register, signIn, signOut, telephone } from './people.mjs';

// Browsers give passkeys to pages under a name only.
const base = (process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000').replace('127.0.0.1', 'localhost');
let browser;

const visit = (options, look) => browser.visit(base, { refused: true, ...options }, look);

const open = (page) => openSignIn(page, base);

/** RFC 6238, as an app on a phone does it; `step` half minutes from now. */
function totp(secret, step = 0) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + step));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describe('signing in and looking after an account', { concurrency: false }, () => {
  before(async () => { browser = await launch(); });
  after(async () => { await browser.close(); });

  it('a passkey is registered, signs in alone, with an address and as the second step, and not once it is removed', () => visit({}, async (page) => {
    const { email } = await register(base);
    const phone = await telephone(page);
    await open(page);
    await signIn(page, email);
    await isIn(page);
    await addPasskey(page, 'Telephone');
    await page.locator('#codes').waitFor();
    assert.equal(await page.locator('[data-show="codes"] li').count(), 10, 'the first factor brings recovery codes');
    await page.locator('[data-act="have-them"]').click();
    assert.equal(await page.locator('[data-show="codes"] li').count(), 0, 'they are shown once');
    assert.equal((await phone.keys()).length, 1);
    const name = page.locator('#passkeys [data-rows] input');
    assert.equal(await name.inputValue(), 'Telephone');
    await name.fill('My telephone');
    await name.press('Enter');
    await page.locator('#passkeys [data-done]').waitFor();

    await signOut(page);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await isIn(page);
    assert.equal(await page.locator('#passkeys [data-rows] input').inputValue(), 'My telephone');

    await signOut(page);
    await page.locator('#sign-in-email').fill(email);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await isIn(page);

    await signOut(page);
    await signIn(page, email);
    await page.locator('#second [data-act="passkey"]').click();
    await isIn(page);

    await page.locator('#passkeys [data-act="remove"]').click();
    await prove(page, 'not the password');
    await page.locator('#proof-password[aria-invalid="true"]').waitFor();
    await prove(page);
    await page.locator('#passkeys [data-when="none"]').waitFor();
    await signOut(page);
    assert.equal((await phone.keys()).length, 1, 'the telephone still has it');
    await page.locator('#sign-in [data-act="passkey"]').click();
    await page.locator('#sign-in [data-wrong]').filter({ hasText: 'The passkey could not be used' }).waitFor();
    await signIn(page, email);
    await isIn(page);
  }));

  it('codes by an app are set up from the picture\'s key, asked for at the door, and taken away', () => visit({}, async (page) => {
    const { email } = await register(base);
    await open(page);
    await signIn(page, email);
    await isIn(page);
    await page.locator('[data-act="set-up"]').click();
    await prove(page);
    const picture = page.locator('[data-show="qr"]');
    await picture.waitFor();
    assert.ok(await picture.evaluate((image) => image.decode().then(() => image.naturalWidth > 0)), 'the picture is drawn');
    const secret = await page.locator('[data-setup] dd').innerText();
    await page.locator('#two-step-code').fill('000000');
    await page.locator('#two-step-code').press('Enter');
    await page.locator('#two-step-code[aria-invalid="true"]').waitFor();
    await page.locator('#two-step-code').fill(totp(secret));
    await page.locator('#two-step-code').press('Enter');
    await page.locator('#codes').waitFor();
    const codes = await page.locator('[data-show="codes"] li').allInnerTexts();
    await page.locator('[data-act="have-them"]').click();

    await signOut(page);
    await signIn(page, email);
    await page.locator('#second-code').fill('123456');
    await page.locator('#second-code').press('Enter');
    await page.locator('#second [data-wrong]').filter({ hasText: 'not right' }).waitFor();
    // The code that set it up is used; the next one is good already.
    await page.locator('#second-code').fill(totp(secret, 1));
    await page.locator('#second-code').press('Enter');
    await isIn(page);
    await signOut(page);
    await signIn(page, email);
    await page.locator('#second-code').fill(codes[0]);
    await page.locator('#second-code').press('Enter');
    await isIn(page);
    await page.locator('[data-show="codes-left"]').filter({ hasText: /^9$/ }).waitFor();
    await page.locator('[data-act="turn-off"]').click();
    await prove(page);
    await page.locator('[data-act="set-up"]').waitFor();
    await signOut(page);
    await signIn(page, email);
    await isIn(page);
  }));

  it('another session is seen and ended, one or all, and leaving the page ends its own', () => visit({}, async (page) => {
    const { email } = await register(base);
    const program = async () => {
      const { access } = await call(base, 'POST', '/api/v1/auth/login/', { body: { email, password: PASSWORD }, headers: { 'user-agent': 'Till' } });
      return { headers: { authorization: `Bearer ${access}` } };
    };
    const till = await program();
    await open(page);
    await signIn(page, email);
    await isIn(page);
    const rows = page.locator('#devices [data-rows] li');
    await rows.nth(2).waitFor();
    assert.equal(await rows.count(), 3, 'the registration, the till and this page');
    assert.equal(await rows.filter({ has: page.locator('[data-when="current"]:visible') }).locator('[data-act="end"]:visible').count(), 0);
    await rows.filter({ hasText: 'Till' }).locator('[data-act="end"]').click();
    await rows.filter({ hasText: 'Till' }).waitFor({ state: 'detached' });
    await call(base, 'GET', '/api/v1/auth/me/', { ...till, expected: [401] });
    await page.locator('[data-act="end-others"]').click();
    await page.locator('#devices [data-done]').waitFor();
    assert.equal(await rows.count(), 1);

    const after = await program();
    const left = async () => (await call(base, 'GET', '/api/v1/auth/sessions/', after)).count;
    assert.equal(await left(), 2);
    assert.deepEqual(await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]), ['', 0, 0], 'nothing is stored');
    await page.goto('about:blank');
    for (let tries = 100; (await left()) > 1; tries -= 1) {
      assert.ok(tries > 0, 'the session of the page that was left still lives');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }));

  it('password and address are changed, and what is wrong is said beside its field', () => visit({}, async (page) => {
    const { email, name } = await register(base);
    await open(page);
    await signIn(page, email, 'not the password');
    await page.locator('#sign-in [data-wrong]').filter({ hasText: 'not right' }).waitFor();
    await signIn(page, email);
    await isIn(page);
    const change = async (old, next) => {
      await page.locator('#password-old_password').fill(old);
      await page.locator('#password-new_password').fill(next);
      await page.locator('#password-new_password').press('Enter');
    };
    await change(PASSWORD, '123');
    await page.locator('#password-new_password[aria-invalid="true"]').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'password-new_password');
    assert.equal(await page.locator('#password-new_password-error').innerText(), 'Too short. Use at least 8 characters. Use more than digits.');
    await change('not the password', 'a bicycle for two');
    await page.locator('#password-old_password[aria-invalid="true"]').waitFor();
    assert.equal(await page.locator('#password-old_password-error').innerText(), 'This password is not right.');
    await change(PASSWORD, 'a bicycle for two');
    await page.locator('#password [data-done]').waitFor();
    await page.locator('#email-new_email').fill(`new-${name}@example.com`);
    await page.locator('#email-password').fill('a bicycle for two');
    await page.locator('#email-password').press('Enter');
    await page.locator('#email [data-done]').waitFor();
    assert.match((await letter(base, `new-${name}@example.com`, 'verify-email')).path, /^\/account\/verify\//);
  }));

  it('a company\'s own provider is offered to who comes by the address that it hands out', () => visit({}, async (page) => {
    await page.goto(new URL('/account/sign-in/?provider=00000000-0000-7000-8000-000000000000', base).href);
    await page.getByRole('button', { name: 'Your company’s provider' }).click();
    await page.locator('#sign-in [data-wrong]').waitFor();
    // Somebody else's answer, brought into this browser.
    await page.goto(new URL('/account/sign-in/?state=x&code=y', base).href);
    await page.locator('#sign-in [data-wrong]').waitFor();
    assert.equal(new URL(page.url()).search, '', 'the code does not stay in the address');
  }));

  for (const locale of LANGUAGES) {
    it(`both pages are whole on a phone and in both themes (${locale})`, () => visit({ width: 360, height: 740, locale }, async (page) => {
      const { email } = await register(base, locale);
      await telephone(page);
      await open(page);
      assert.equal(await page.locator('html').getAttribute('lang'), locale);
      await inspect(page);
      await signIn(page, email, 'x');
      await page.locator('#sign-in [data-wrong]').waitFor();
      await inspect(page);
      await signIn(page, email);
      await isIn(page);
      await addPasskey(page, 'Telephone');
      await page.locator('#codes').waitFor();
      await page.locator('[data-act="set-up"]').click();
      await page.locator('#proof').waitFor();
      await inspect(page);
      await prove(page);
      await page.locator('[data-show="qr"]').waitFor();
      await inspect(page);
    }));
  }

  it('without script the page says what it lacks', () => visit({ script: false }, async (page) => {
    await page.goto(new URL('/account/security/', base).href);
    assert.match(await page.locator('noscript').innerText(), /needs script/);
  }));
});
