// Signing in, and looking after how one signs in. Tokens live in this module's memory: no cookie, no storage, and leaving signs out.

const page = document.getElementById('main');
const words = JSON.parse(page.dataset.words);
const $ = (selector, within = document) => within.querySelector(selector);
const say = (within, name, value) => { $(`[data-show="${name}"]`, within).textContent = value; };
const moment = (text) => new Intl.DateTimeFormat([document.documentElement.lang, 'en'], { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(text));

let tokens = null;
let challenge = null;
let renewing = null;

/** A refusal of the server's, or none at all. */
class Refusal extends Error {
  constructor(code, details = {}) {
    super(code);
    this.code = code;
    this.details = details;
  }
}

async function send(method, path, body, options = {}) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (tokens) headers.authorization = `Bearer ${tokens.access}`;
  let answer;
  try {
    answer = await fetch(`/api/v1/auth/${path}`, { method, headers, body: body && JSON.stringify(body), ...options });
  } catch {
    throw new Refusal('offline');
  }
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (answer.ok) return value;
  throw new Refusal(value?.error?.code ?? 'refused', value?.error?.details ?? {});
}

/** As `send`, and once more with a new access token when the old one is over. Two calls at once renew once: a refresh token shown twice ends the session. */
async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (refusal) {
    if (refusal.code !== 'token_not_valid' || !tokens) throw refusal;
    try {
      renewing ??= send('POST', 'refresh/', { refresh: tokens.refresh }).then(keep).finally(() => { renewing = null; });
      await renewing;
    } catch (reason) {
      if (reason.code === 'offline') throw reason;
      tokens = null;
      show('sign-in');
      throw new Refusal('ended');
    }
    return send(method, path, body);
  }
}

const keep = ({ access, refresh }) => { tokens = { access, refresh }; };

// --- what a form says ---

function quiet(form) {
  for (const place of form.querySelectorAll('[data-wrong], [data-done], .field .complaint')) place.hidden = true;
  for (const input of form.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
}

/** Each complaint beside its field, what has none above; the reader lands on the first. */
function wrong(place, refusal) {
  const form = place.closest('[hidden]') ? $('#sign-in form') : place;
  const left = [];
  let first = null;
  const fields = Object.entries(refusal.details).filter(([, errors]) => Array.isArray(errors));
  for (const [name, errors] of fields) {
    const input = form.elements?.[name];
    const codes = errors.map((error) => error.code ?? error);
    const text = codes.map((code) => words[`${name}.${code}`] ?? words[code] ?? words.refused).join(' ');
    const beside = input && document.getElementById(`${input.id}-error`);
    if (!beside) { left.push(text); continue; }
    beside.textContent = text;
    beside.hidden = false;
    input.setAttribute('aria-invalid', 'true');
    first ??= input;
  }
  if (fields.length === 0) left.push(words[refusal.code] ?? words.refused);
  if (left.length > 0) {
    const above = $('[data-wrong]', form) ?? $('[data-wrong]', form.closest('section'));
    above.textContent = left.join(' ');
    above.hidden = false;
  }
  first?.focus();
}

function done(within, text) {
  const place = $('[data-done]', within);
  place.textContent = text;
  place.hidden = false;
}

/** Runs `work` for a form or a section: its buttons rest meanwhile, and what goes wrong is said there. */
async function run(place, work) {
  if (place.ariaBusy === 'true') return;
  place.ariaBusy = 'true';
  quiet(place);
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Refusal)) console.warn(problem);
    if (problem.code !== 'cancelled') wrong(place, problem instanceof Refusal ? problem : new Refusal('refused'));
  } finally {
    place.ariaBusy = null;
  }
}

function onSubmit(form, work) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run(form, () => work(Object.fromEntries(new FormData(form))));
  });
}

const onAct = (within, act, work, place = within) => $(`[data-act="${act}"]`, within).addEventListener('click', () => run(place, work));

/** Nothing of a person stays on the page when they have left it. */
function forget() {
  for (const place of document.querySelectorAll('#account [data-show], #account [data-rows], #account dd')) place.replaceChildren();
  $('[data-show="qr"]').removeAttribute('src');
  $('#codes').hidden = true;
  $('[data-setup]').hidden = true;
  for (const place of document.querySelectorAll('#account form, #account section')) quiet(place);
}

function show(name) {
  if (name !== 'account') forget();
  for (const id of ['sign-in', 'second', 'account']) document.getElementById(id).hidden = id !== name;
  for (const input of document.querySelectorAll('form:not(.row) input')) input.value = '';
  $(`#${name}-title`).focus();
}

// --- passkeys: bytes are base64url on the wire ---

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const withIds = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));

/** Asks the device; whatever it says no to is one refusal, because people cannot tell its reasons apart. */
async function ask(kind, asked) {
  const key = { ...asked, challenge: toBytes(asked.challenge) };
  if (key.user) key.user = { ...key.user, id: toBytes(key.user.id) };
  key.excludeCredentials = withIds(key.excludeCredentials);
  key.allowCredentials = withIds(key.allowCredentials);
  let found;
  try {
    found = await navigator.credentials[kind]({ publicKey: key });
  } catch {
    throw new Refusal('passkey');
  }
  const names = kind === 'create' ? ['attestationObject', 'clientDataJSON'] : ['authenticatorData', 'clientDataJSON', 'signature', 'userHandle'];
  const response = Object.fromEntries(names.filter((name) => found.response[name]).map((name) => [name, toText(found.response[name])]));
  return { id: found.id, rawId: toText(found.rawId), type: found.type, response, extensions: {} };
}

async function byPasskey(body) {
  const { ceremony, public_key: asked } = await send('POST', 'passkeys/sign-in/begin/', body);
  const credential = await ask('get', asked);
  await enter(await send('POST', 'passkeys/sign-in/finish/', { ceremony, credential }));
}

// --- signing in ---

/** Opens the account, or asks for the second step when `work` is refused for want of it. */
async function signIn(work) {
  try {
    await enter(await work());
  } catch (refusal) {
    if (refusal.code !== 'mfa_required') throw refusal;
    challenge = refusal.details;
    $('[data-by="passkey"]').hidden = !challenge.methods.includes('passkey');
    $('[data-by="code"]').hidden = challenge.methods.every((method) => method === 'passkey');
    show('second');
  }
}

async function enter(answer) {
  keep(answer);
  challenge = null;
  history.replaceState(null, '', '/account/security/');
  try {
    await refresh();
  } catch (refusal) {
    // A session that may not look after its person is of no use here.
    leave();
    show('sign-in');
    throw refusal;
  }
  show('account');
}

function signInForm() {
  const form = $('#sign-in form');
  onSubmit(form, ({ email, password }) => signIn(() => send('POST', 'login/', { email, password })));
  onAct(form, 'passkey', () => byPasskey(form.elements.email.value ? { email: form.elements.email.value } : {}));
  const second = $('#second form');
  onSubmit(second, ({ code }) => signIn(() => send('POST', 'mfa/verify/', { mfa_token: challenge.mfa_token, code })));
  onAct(second, 'passkey', () => byPasskey({ mfa_token: challenge.mfa_token }));
  onAct(second, 'again', async () => show('sign-in'));
}

/** The installation's providers; a company's own is named in the address that the company hands out: `?provider=ID`. */
async function providers(own) {
  const place = $('[data-providers]');
  const { results } = await send('GET', 'oidc/');
  const all = results.map(({ id, name }) => ({ id, name }));
  if (own && !all.some(({ id }) => id === own)) all.push({ id: own, name: place.dataset.own });
  for (const { id, name } of all) {
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'button quiet', textContent: `${words.with} ${name}` });
    button.addEventListener('click', () => run($('#sign-in form'), async () => {
      const body = { redirect_uri: new URL('/account/sign-in/', location).href };
      const begun = await send('POST', `oidc/${encodeURIComponent(id)}/begin/`, body);
      // Binds what comes back to this tab; worth nothing without the code that comes with it.
      sessionStorage.setItem('loop-sign-in', JSON.stringify({ provider: id, state: begun.state, binding: begun.binding }));
      location.assign(begun.authorization_url);
    }));
    place.append(button);
  }
}

/** The sign-in that this tab has begun elsewhere; it is taken up once. */
function takeBegun() {
  const begun = JSON.parse(sessionStorage.getItem('loop-sign-in') ?? 'null');
  sessionStorage.removeItem('loop-sign-in');
  return begun ?? {};
}

async function comeBack(query, { state, binding }) {
  // The code leaves the address bar and the history before anything else happens.
  history.replaceState(null, '', '/account/sign-in/');
  if (query.has('error') || state !== query.get('state')) throw new Refusal('oidc_not_valid');
  const body = { state, binding, code: query.get('code') };
  if (query.get('iss')) body.iss = query.get('iss');
  await signIn(() => send('POST', 'oidc/complete/', body));
}

// --- the account ---

async function refresh() {
  const [me, standing, keys, devices] = await Promise.all([call('GET', 'me/'), call('GET', '2fa/'), call('GET', 'passkeys/'), call('GET', 'sessions/')]);
  say(document, 'email', me.user.email);
  say(document, 'verified', words[me.user.email_verified ? 'verified' : 'unverified']);
  $('[data-act="resend"]').hidden = me.user.email_verified;
  const isOn = Boolean(standing.totp_since);
  say(document, 'two-step', words[isOn ? 'is_on' : 'is_off']);
  say(document, 'codes-left', standing.recovery_codes_left);
  $('[data-act="set-up"]').hidden = isOn;
  $('#two-step [data-when="on"]').hidden = !isOn;
  $('#two-step [data-when="codes"]').hidden = !standing.enabled;
  rows('passkeys', keys.results, passkeyRow);
  $('#passkeys [data-when="none"]').hidden = keys.results.length > 0;
  rows('devices', devices.results, deviceRow);
  $('[data-act="end-others"]').hidden = devices.results.length < 2;
}

function rows(section, items, fill) {
  const place = $(`#${section} [data-rows]`);
  const template = $(`#${section} template`);
  place.replaceChildren(...items.map((item) => {
    const row = template.content.firstElementChild.cloneNode(true);
    fill(row, item);
    return row;
  }));
}

function passkeyRow(row, { id, name, last_used_at: used, created_at: made }) {
  const [form, section] = [$('form', row), $('#passkeys')];
  form.elements.name.value = name;
  say(row, 'used', moment(used ?? made));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run(section, async () => {
      await call('PATCH', `passkeys/${id}/`, { name: form.elements.name.value });
      done(section, words.saved);
    });
  });
  onAct(row, 'remove', async () => {
    await proved((proof) => call('DELETE', `passkeys/${id}/`, proof));
    await refresh();
    // The button that had the focus is gone.
    $('#passkeys-title').focus();
  }, section);
}

/** `Firefox · Android` of what a browser calls itself; what programs call themselves stays as it is. */
function programName(agent) {
  if (!agent.startsWith('Mozilla/')) return agent || words.unknown_device;
  const first = (list) => list.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = first([[/Edg/, 'Edge'], [/OPR\//, 'Opera'], [/Firefox|FxiOS/, 'Firefox'], [/Chrome|CriOS/, 'Chrome'], [/Safari/, 'Safari']]);
  const system = first([[/Android/, 'Android'], [/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Windows/, 'Windows'], [/Mac OS/, 'Mac'], [/CrOS/, 'ChromeOS'], [/Linux/, 'Linux']]);
  return [browser, system].filter(Boolean).join(' · ') || agent;
}

function deviceRow(row, { id, user_agent: program, address, last_used_at: used, is_current: isCurrent }) {
  say(row, 'program', programName(program));
  say(row, 'address', address);
  say(row, 'used', moment(used));
  $('[data-when="current"]', row).hidden = !isCurrent;
  const button = $('[data-act="end"]', row);
  button.hidden = isCurrent;
  button.addEventListener('click', () => run($('#devices'), async () => {
    await call('DELETE', `sessions/${id}/`);
    await refresh();
    $('#devices-title').focus();
  }));
}

/** Asks for the password or a code, and does `work` with it until it is right or given up. */
function proved(work) {
  const dialog = $('#proof');
  const form = $('form', dialog);
  form.reset();
  quiet(form);
  dialog.showModal();
  return new Promise((resolve, reject) => {
    let outcome = null;
    form.onsubmit = (event) => {
      event.preventDefault();
      const secret = form.elements.password.value;
      const isCode = /^\d{3} ?\d{3}$/.test(secret) || /^[0-9a-z]{5}-[0-9a-z]{5}$/i.test(secret);
      run(form, async () => {
        try {
          const value = await work(secret === '' ? {} : { [isCode ? 'code' : 'password']: secret });
          outcome = () => resolve(value);
        } catch (refusal) {
          // The field is one, whichever of the two was typed into it.
          if (refusal.details?.code) refusal.details = { password: [{ code: 'invalid' }] };
          if (refusal.details?.password || refusal.code === 'throttled') throw refusal;
          outcome = () => reject(refusal);
        }
        dialog.close();
      });
    };
    dialog.onclose = () => (outcome ? outcome() : reject(new Refusal('cancelled')));
  });
}

function showCodes(codes) {
  const list = $('[data-show="codes"]');
  list.replaceChildren(...codes.map((code) => Object.assign(document.createElement('li'), { textContent: code })));
  $('#codes').hidden = false;
  $('#codes-title').focus();
}

function twoStep() {
  const section = $('#two-step');
  const setup = $('[data-setup]');
  onAct(section, 'set-up', async () => {
    const made = await proved((proof) => call('POST', '2fa/setup/', proof));
    $('[data-show="qr"]').src = `data:image/svg+xml,${encodeURIComponent(made.qr_svg)}`;
    $('dd', setup).textContent = made.secret;
    setup.hidden = false;
    $('[data-act="set-up"]').hidden = true;
    setup.elements.code.focus();
  });
  onSubmit(setup, async ({ code }) => {
    const { recovery_codes: codes } = await call('POST', '2fa/enable/', { code });
    setup.hidden = true;
    setup.reset();
    await refresh();
    showCodes(codes);
  });
  onAct(section, 'new-codes', async () => {
    const { recovery_codes: codes } = await proved((proof) => call('POST', '2fa/recovery-codes/', proof));
    await refresh();
    showCodes(codes);
  });
  onAct(section, 'turn-off', async () => {
    await proved((proof) => call('POST', '2fa/disable/', proof));
    await refresh();
    $('[data-act="set-up"]').focus();
  });
  $('[data-act="have-them"]').addEventListener('click', () => {
    $('#codes').hidden = true;
    $('[data-show="codes"]').replaceChildren();
    $('#account-title').focus();
  });
}

function account() {
  twoStep();
  const keys = $('#passkeys');
  onSubmit($('[data-add]'), async ({ name }) => {
    const { ceremony, public_key: asked } = await proved((proof) => call('POST', 'passkeys/register/begin/', proof));
    const credential = await ask('create', asked);
    const made = await call('POST', 'passkeys/register/finish/', { ceremony, credential, name });
    $('[data-add]').reset();
    await refresh();
    if (made.recovery_codes) showCodes(made.recovery_codes); else done(keys, words.saved);
  });
  onAct($('#devices'), 'end-others', async () => {
    await call('POST', 'sessions/revoke-others/');
    await refresh();
    done($('#devices'), words.ended_others);
  });
  onSubmit($('#password form'), async (body) => {
    await call('POST', 'password/change/', body);
    $('#password form').reset();
    done($('#password form'), words.password_changed);
    await refresh();
  });
  onSubmit($('#email form'), async (body) => {
    await call('POST', 'email/change/', body);
    $('#email form').reset();
    done($('#email form'), words.email_asked);
  });
  onAct($('#email form'), 'resend', async () => {
    await call('POST', 'email/verify/resend/');
    done($('#email form'), words.resent);
  });
  onAct(document, 'sign-out', async () => { leave(); show('sign-in'); }, $('#two-step'));
  onAct(document, 'cancel', async () => $('#proof').close(), $('#proof form'));
}

/** Ends the session whose tokens are about to be forgotten. */
function leave() {
  if (!tokens) return;
  const { refresh } = tokens;
  send('POST', 'logout/', { refresh }, { keepalive: true }).catch(() => { /* it ends by itself */ });
  tokens = null;
}

// A page that the browser kept aside comes back without its tokens, so it begins anew.
addEventListener('pagehide', leave);
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

signInForm();
account();
const query = new URLSearchParams(location.search);
show('sign-in');
run($('#sign-in form'), async () => {
  const begun = query.has('state') ? takeBegun() : {};
  try {
    if (query.has('state')) await comeBack(query, begun);
  } finally {
    // Who was refused may try again, by the same provider or another.
    if (!tokens && !challenge) await providers(query.get('provider') ?? begun.provider);
  }
});
