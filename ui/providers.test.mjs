// Signing in by a provider of identity and by passkey, and what an address that nobody has confirmed keeps closed.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launch } from './browser.mjs';
import { CLIENT_ID, CLIENT_SECRET, startIssuer } from './issuer.mjs';
import { inspect } from './looks.mjs';
import { LANGUAGES, PASSWORD, addPasskey, call, confirm, isIn, letter, openSignIn, operator, register, signIn, signOut, telephone } from './people.mjs';

// Browsers give passkeys to pages under a name only.
const base = (process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000').replace('127.0.0.1', 'localhost');
const INSTALLATION = '/api/v1/installation-oidc-providers/';
const COMPANY = '/api/v1/oidc-providers/';
let browser;

const visit = (options, look) => browser.visit(base, { refused: true, ...options }, look);

/** Runs `work` while an issuer of `person` is registered at `path` by whoever `headers` act for; it is nobody's afterwards. */
async function withProvider(path, headers, person, work) {
  const issuer = await startIssuer(person);
  const body = { name: 'Works', issuer: issuer.base, client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [new URL('/account/sign-in/', base).href] };
  const { id } = await call(base, 'POST', path, { body, headers });
  try {
    await work(issuer, id);
  } finally {
    await call(base, 'DELETE', `${path}${id}/`, { headers });
    await issuer.close();
  }
}

/** Presses the provider's button and answers its question. */
async function come(page, button, answer = 'Yes') {
  await page.getByRole('button', { name: button }).click();
  await page.waitForURL(/\/authorize\?/);
  await page.getByRole('button', { name: answer }).click();
  await page.waitForURL(/\/account\/(sign-in|security)\/$/);
}

const complaint = (page, words) => page.locator('#sign-in [data-wrong]').filter({ hasText: words }).waitFor();

describe('providers of identity, and addresses that nobody has confirmed', { concurrency: false }, () => {
  before(async () => { browser = await launch(); });
  after(async () => { await browser.close(); });

  it('a person goes to the installation\'s provider and comes back signed in, once their address is confirmed', async () => {
    const owner = await register(base);
    const person = { sub: owner.name, email: owner.email, email_verified: true };
    await withProvider(INSTALLATION, await operator(base), person, (issuer) => visit({ guests: [issuer.base] }, async (page) => {
      await openSignIn(page, base);
      // Whoever registered here with an address that is not theirs would be let into its owner's account.
      await come(page, 'Sign in with Works');
      await complaint(page, 'the address was never confirmed');
      assert.equal(page.url(), new URL('/account/sign-in/', base).href, 'the code does not stay in the address');
      await inspect(page);
      await confirm(base, owner.email);
      await come(page, 'Sign in with Works');
      await isIn(page);
      assert.equal(await page.locator('[data-show="email"]').innerText(), owner.email);
      assert.equal(page.url(), new URL('/account/security/', base).href);
      assert.deepEqual(await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]), ['', 0, 0], 'nothing is stored');
      await page.goBack();
      await page.goForward();
      await page.locator('#sign-in').waitFor();
      assert.equal(page.url(), new URL('/account/security/', base).href, 'no code in the history either, and leaving has signed out');
    }));
  });

  it('who says no there, is not known here or comes without a confirmed address is told so', async () => {
    const { name } = await register(base);
    const person = { sub: name, email: `nobody-${name}@example.com`, email_verified: true };
    await withProvider(INSTALLATION, await operator(base), person, (issuer) => visit({ guests: [issuer.base] }, async (page) => {
      await openSignIn(page, base);
      await come(page, 'Sign in with Works', 'No');
      await complaint(page, 'This was not possible.');
      await come(page, 'Sign in with Works');
      await complaint(page, 'There is no account for you here yet.');
      issuer.person.email_verified = false;
      await come(page, 'Sign in with Works');
      await complaint(page, 'Your provider has not confirmed your e-mail address.');
    }));
  });

  it('somebody with a second factor shows it after the provider has let them go', async () => {
    const owner = await register(base);
    await confirm(base, owner.email);
    const person = { sub: owner.name, email: owner.email, email_verified: true };
    await withProvider(INSTALLATION, await operator(base), person, (issuer) => visit({ guests: [issuer.base] }, async (page) => {
      await telephone(page);
      await openSignIn(page, base);
      await signIn(page, owner.email);
      await isIn(page);
      await addPasskey(page, 'Telephone');
      await page.locator('#codes').waitFor();
      await signOut(page);
      await page.reload();
      await come(page, 'Sign in with Works');
      await page.locator('#second [data-act="passkey"]').click();
      await isIn(page);
    }));
  });

  it('a company\'s own provider opens that company and not the account', async () => {
    const owner = await register(base);
    await confirm(base, owner.email);
    const person = { sub: owner.name, email: owner.email, email_verified: true };
    await withProvider(COMPANY, owner.headers, person, (issuer, id) => visit({ guests: [issuer.base] }, async (page) => {
      await page.goto(new URL(`/account/sign-in/?provider=${id}`, base).href);
      await come(page, 'Sign in with Your company’s provider');
      await complaint(page, 'opens that company alone');
      await page.getByRole('button', { name: 'Sign in with Your company’s provider' }).waitFor();
      assert.equal(await page.locator('#account').isVisible(), false);
    }));
  });

  it('a passkey signs in to an account whose address nobody confirmed, which is said and stays as closed as it was', () => visit({}, async (page) => {
    const owner = await register(base);
    const other = await register(base);
    await telephone(page);
    await openSignIn(page, base);
    await signIn(page, owner.email);
    await isIn(page);
    await addPasskey(page, 'Telephone');
    await page.locator('[data-act="have-them"]').click();
    await signOut(page);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await isIn(page);
    const badge = page.locator('[data-show="verified"]');
    assert.equal(await badge.innerText(), 'Not confirmed');
    // A key proves who holds the telephone, not whose the mailbox is.
    const merge = () => call(base, 'POST', '/api/v1/auth/merge/', { body: { email: other.email, password: PASSWORD }, headers: owner.headers, expected: [409] });
    assert.equal((await merge()).error.code, 'email_not_verified');
    const first = (await letter(base, owner.email, 'verify-email')).path;
    await page.locator('[data-act="resend"]').click();
    await page.locator('#email [data-done]').filter({ hasText: 'on its way' }).waitFor();
    assert.notEqual((await letter(base, owner.email, 'verify-email')).path, first, 'a new link');
    await confirm(base, owner.email);
    await signOut(page);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await isIn(page);
    assert.equal(await badge.innerText(), 'Confirmed');
    assert.equal(await page.locator('[data-act="resend"]').isVisible(), false);
  }));

  it('a device that does not know its owner any more makes no passkey and signs nobody in', () => visit({}, async (page) => {
    const { email } = await register(base);
    const phone = await telephone(page);
    await openSignIn(page, base);
    await signIn(page, email);
    await isIn(page);
    await phone.knowsOwner(false);
    await addPasskey(page, 'Stolen');
    const refused = page.locator('#passkeys [data-wrong]').filter({ hasText: 'The passkey could not be used' });
    await refused.waitFor();
    assert.equal(await page.locator('#passkeys [data-rows] li').count(), 0);
    await phone.knowsOwner(true);
    await addPasskey(page, 'Telephone');
    await page.locator('[data-act="have-them"]').click();
    await signOut(page);
    await phone.knowsOwner(false);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await complaint(page, 'The passkey could not be used');
    await phone.knowsOwner(true);
    await page.locator('#sign-in [data-act="passkey"]').click();
    await isIn(page);
  }));

  for (const locale of LANGUAGES) {
    it(`the button that goes to a provider is whole on a phone (${locale})`, async () => {
      await withProvider(INSTALLATION, await operator(base), { sub: 'x' }, (issuer) => visit({ width: 360, height: 740, locale, guests: [issuer.base] }, async (page) => {
        await openSignIn(page, base);
        await page.locator('[data-providers] button').waitFor();
        await inspect(page);
      }));
    });
  }
});
