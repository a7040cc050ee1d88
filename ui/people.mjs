// People of a running loopd for tests and pictures: registers them over the API and opens the letters that the sandbox keeps for them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

export const PASSWORD = 'strongpass123';
export const LANGUAGES = ['en', 'fr', 'rw'];

/** Calls the API; gives the parsed answer, and fails on any status but `expected`. */
export async function call(base, method, path, { body, headers = {}, expected = [200, 201, 202, 204] } = {}) {
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(new URL(path, base), { method, headers: { ...json, ...headers }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(expected.includes(answer.status), `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Registers somebody with a company of their own; gives who they are and the headers that act for them. */
export async function register(base, language = 'en') {
  const name = `mahoro${randomBytes(6).toString('hex')}`;
  const email = `${name}@example.com`;
  const body = { email, username: name, password: PASSWORD, company_name: 'Kigali Bikes', first_name: 'Mahoro', last_name: 'Uwase', language };
  const { access, company } = await call(base, 'POST', '/api/v1/auth/register/', { body });
  return { email, name, access, headers: { authorization: `Bearer ${access}`, 'x-company-id': company.code } };
}

/** Who runs the installation; `scripts/test.sh` has made them. Gives the headers that act for them. */
export async function operator(base) {
  const body = { email: 'root@example.com', password: PASSWORD };
  const { access } = await call(base, 'POST', '/api/v1/auth/login/', { body });
  return { authorization: `Bearer ${access}` };
}

/** Confirms somebody's address by the letter that they have. */
export async function confirm(base, email) {
  const { path } = await letter(base, email, 'verify-email');
  const token = new URL(path, base).searchParams.get('token');
  await call(base, 'POST', '/api/v1/auth/email/verify/', { body: { token, password: PASSWORD } });
}

/** The newest letter of `template` to `email`: where it stands, and the path and query of the link in it. */
export async function letter(base, email, template) {
  const list = await (await fetch(new URL('/sandbox/mail/', base))).text();
  const row = list.split('<tr>').find((row) => row.includes(email) && row.includes(`>${template}<`));
  assert.ok(row, `no letter ${template} to ${email}`);
  const page = row.match(/\/sandbox\/mail\/[0-9a-f-]{36}\//)[0];
  const text = await (await fetch(new URL(page, base))).text();
  const link = text.match(/https?:\/\/[^"<\s]+\/account\/[^"<\s]+/)?.[0].replaceAll('&amp;', '&');
  return { page, path: link && new URL(link).pathname + new URL(link).search };
}

/** Invites somebody new; gives the path that their letter names. */
export async function invite(base, language) {
  const owner = await register(base, language);
  const email = `keza${randomBytes(6).toString('hex')}@example.com`;
  await call(base, 'POST', '/api/v1/invitations/', { body: { email, role: 'staff' }, headers: owner.headers });
  return (await letter(base, email, 'invitation')).path;
}

/** Asks for a new password; gives the path that the letter names. */
export async function forget(base, language) {
  const { email } = await register(base, language);
  await call(base, 'POST', '/api/v1/auth/password/reset/', { body: { email } });
  // The letter is written after the answer, so that the answer's time tells nothing.
  for (let left = 100; ; left -= 1) {
    try {
      return (await letter(base, email, 'password-reset')).path;
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export async function verify(base, language) {
  const { email } = await register(base, language);
  return (await letter(base, email, 'verify-email')).path;
}

/** Asks for another address; gives the path that the letter to it names. */
export async function change(base, language) {
  const { headers, name } = await register(base, language);
  const email = `new-${name}@example.com`;
  await call(base, 'POST', '/api/v1/auth/email/change/', { body: { new_email: email, password: PASSWORD }, headers });
  return (await letter(base, email, 'verify-email')).path;
}

export async function merge(base, language) {
  const [stays, ends] = [await register(base, language), await register(base, language)];
  await confirm(base, stays.email);
  await call(base, 'POST', '/api/v1/auth/merge/', { body: { email: ends.email, password: PASSWORD }, headers: stays.headers });
  return (await letter(base, ends.email, 'account-merge')).path;
}

/** Asks to be erased; gives the path that the letter names. With `others`, somebody else works in the person's company. */
export async function erase(base, language, others = false) {
  const { email, headers } = await register(base, language);
  if (others) {
    const member = await register(base, language);
    await confirm(base, member.email);
    await call(base, 'POST', '/api/v1/memberships/', { body: { email: member.email, role: 'staff' }, headers });
  }
  await call(base, 'POST', '/api/v1/auth/erasure/', { body: { password: PASSWORD }, headers });
  return (await letter(base, email, 'account-erase')).path;
}

const submit = (page, name = /.*/) => page.locator('button[type="submit"]').filter({ hasText: name }).first().click();

/** The letter shows whose mailbox it is, the password whose account. */
async function confirmWith(page, password) {
  await page.locator('#password').fill(password);
  await submit(page);
}

/**
 * The pages behind letters. `path` makes what the page is about, for one language, and names it; `act` does what a person does there
 * to see it in this state. `refused` pages answer 4xx.
 */
export const ACCOUNT_PAGES = [
  { name: 'invitation', path: invite },
  { name: 'invitation-refused', path: invite, refused: true, act: async (page) => {
    await page.locator('#username').fill('keza u');
    await page.locator('#password').fill('password');
    await submit(page);
  } },
  { name: 'invitation-joined', path: invite, act: async (page) => {
    await page.locator('#username').fill(`keza${randomBytes(6).toString('hex')}`);
    await page.locator('#password').fill('a bicycle for two');
    await submit(page);
  } },
  { name: 'invitation-declined', path: invite, act: (page) => page.locator('button[value="decline"]').click() },
  { name: 'invitation-dead', path: async () => '/account/invitation/?token=nonsense', refused: true },
  { name: 'password', path: forget },
  { name: 'password-refused', path: forget, refused: true, act: async (page) => {
    await page.locator('#password').fill('12345');
    await submit(page);
  } },
  { name: 'password-set', path: forget, act: async (page) => {
    await page.locator('#password').fill('a bicycle for two');
    await submit(page);
  } },
  { name: 'password-dead', path: async () => '/account/password/?token=nonsense', refused: true },
  { name: 'forgot', path: async () => '/account/forgot/' },
  { name: 'forgot-sent', path: async () => '/account/forgot/', act: async (page) => {
    await page.locator('#email').fill('nobody@example.com');
    await submit(page);
  } },
  { name: 'forgot-refused', path: async () => '/account/forgot/', refused: true, act: async (page) => {
    // A browser takes this for an address; the server does not.
    await page.locator('#email').fill('keza@kigali');
    await submit(page);
  } },
  { name: 'verify', path: verify },
  { name: 'verify-refused', path: verify, refused: true, act: (page) => confirmWith(page, 'another password') },
  { name: 'verified', path: verify, act: (page) => confirmWith(page, PASSWORD) },
  { name: 'address-changed', path: change, act: (page) => confirmWith(page, PASSWORD) },
  { name: 'merge', path: merge },
  { name: 'merged', path: merge, act: (page) => submit(page) },
  { name: 'erase', path: erase },
  { name: 'erase-refused', path: (base, language) => erase(base, language, true), refused: true, act: (page) => submit(page) },
  { name: 'erased', path: erase, act: (page) => submit(page) },
];

/** Opens one of [`ACCOUNT_PAGES`] and brings it into its state. */
export async function openAccountPage(base, page, { path, act }, language) {
  await page.goto(new URL(await path(base, language), base).href, { waitUntil: 'load' });
  if (act) await Promise.all([page.waitForResponse((answer) => answer.request().method() === 'POST'), act(page)]);
  await page.locator('#title').waitFor();
}

/** Types an address and a password into the page for it. */
export async function signIn(page, email, password = PASSWORD) {
  await page.locator('#sign-in-email').fill(email);
  await page.locator('#sign-in-password').fill(password);
  await page.locator('#sign-in-password').press('Enter');
}

/** Waits until the account is on the page. */
export const isIn = (page) => page.locator('#account').waitFor();

/** Gives the tab a telephone that keeps passkeys and knows its owner. */
export async function telephone(page) {
  const client = await page.context().newCDPSession(page);
  await client.send('WebAuthn.enable');
  const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await client.send('WebAuthn.addVirtualAuthenticator', { options });
  return {
    knowsOwner: (isUserVerified) => client.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
    keys: async () => (await client.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
  };
}

export async function openSignIn(page, base) {
  await page.goto(new URL('/account/sign-in/', base).href);
  await page.locator('#sign-in').waitFor();
}

export async function signOut(page) {
  await page.locator('[data-act="sign-out"]').click();
  await page.locator('#sign-in').waitFor();
  // Whoever comes next at this desk finds nothing of whom was here.
  assert.equal(await page.locator('#account').evaluate((place) => [...place.querySelectorAll('[data-show], [data-rows], dd')].map((one) => one.textContent).join('')), '');
}

export async function prove(page, secret = PASSWORD) {
  await page.locator('#proof-password').fill(secret);
  await page.locator('#proof-password').press('Enter');
}

export async function addPasskey(page, name) {
  await page.locator('#passkey-name').fill(name);
  await page.locator('#passkey-name').press('Enter');
  await prove(page);
}

/** The pages with script, each brought into its state. */
export const SCRIPTED_PAGES = [
  { name: 'sign-in', open: async () => {} },
  { name: 'sign-in-refused', open: async (page) => {
    await signIn(page, 'nobody@example.com');
    await page.locator('#sign-in [data-wrong]').waitFor();
  } },
  { name: 'security', open: async (page, base, locale) => {
    await signIn(page, (await register(base, locale)).email);
    await isIn(page);
  } },
  { name: 'security-proof', open: async (page, base, locale) => {
    await signIn(page, (await register(base, locale)).email);
    await isIn(page);
    await page.locator('[data-act="set-up"]').click();
  } },
  { name: 'security-set-up', open: async (page, base, locale) => {
    await signIn(page, (await register(base, locale)).email);
    await isIn(page);
    await page.locator('[data-act="set-up"]').click();
    await page.locator('#proof-password').fill(PASSWORD);
    await page.locator('#proof-password').press('Enter');
    await page.locator('[data-setup]').waitFor();
  } },
];

export async function openScriptedPage(base, page, { open }, locale) {
  await openSignIn(page, base);
  await open(page, base, locale);
}
