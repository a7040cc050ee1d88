// What every test here needs: the server's address, sellers made by the platform key, and a way to call.
import assert from 'node:assert/strict';

export const BASE = process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';

/** Calls the API with a key; checks the status and gives the body. */
export async function call(key, method, path, { body, status = 200 } = {}) {
  const answer = await fetch(BASE + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text}`);
  return text && JSON.parse(text);
}

/** A new project that sells: `{identityId, rawKey, …}`. */
export function seller(name) {
  const key = process.env.CLIENTS_PLATFORM_KEY;
  assert.ok(key, 'CLIENTS_PLATFORM_KEY is the key that scripts/clients.sh makes');
  return call(key, 'POST', '/v0/platform/identities', { body: { name, purpose: 'SELLER' }, status: 201 });
}

export const decode = (header) => JSON.parse(Buffer.from(header, 'base64'));
