// A real tus client against a loopd that is up already: LOOP_BASE_URL names it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as tus from 'tus-js-client';

const base = process.env.LOOP_BASE_URL ?? 'http://127.0.0.1:8000';

/** Registers somebody, and gives the headers that act for their company. */
async function register() {
  const name = `tus${randomBytes(6).toString('hex')}`;
  const answer = await fetch(new URL('/api/v1/auth/register/', base), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: `${name}@example.com`, username: name, password: 'strongpass123', company_name: name }),
  });
  const { access, company } = await answer.json();
  assert.equal(answer.status, 201);
  return { authorization: `Bearer ${access}`, 'x-company-id': company.code };
}

/** Uploads `content`, cutting the connection after `cutAfter` bytes once, and gives the upload's address. */
function upload(content, headers, { cutAfter, ...options } = {}) {
  return new Promise((resolve, reject) => {
    let wasCut = false;
    const upload = new tus.Upload(content, {
      endpoint: new URL('/api/v1/files/uploads/', base).href,
      headers,
      retryDelays: [0, 50, 200],
      metadata: { filename: 'film é.bin', filetype: 'application/octet-stream' },
      onError: reject,
      onSuccess: () => resolve(upload.url),
      onChunkComplete: (_size, accepted) => {
        if (cutAfter && !wasCut && accepted >= cutAfter) {
          wasCut = true;
          // As a closed lid would: the client forgets what it was doing and asks how far it came.
          upload.abort().then(() => upload.start(), reject);
        }
      },
      ...options,
    });
    upload.start();
  });
}

for (const [name, options] of [
  ['in one piece', {}],
  ['in pieces', { chunkSize: 700_000 }],
  ['with its first piece at once', { uploadDataDuringCreation: true, chunkSize: 1_000_000 }],
  ['taken up again after a break', { chunkSize: 400_000, cutAfter: 800_000 }],
]) {
  test(`tus-js-client uploads ${name}`, async () => {
    const headers = await register();
    const content = randomBytes(3_000_001);
    const address = await upload(content, headers, options);
    const id = new URL(address).pathname.split('/').filter(Boolean).at(-1);
    const file = await (await fetch(new URL(`/api/v1/files/${id}/`, base), { headers })).json();
    assert.equal(file.name, 'film é.bin');
    assert.equal(file.sha256, createHash('sha256').update(content).digest('hex'));
    const back = await fetch(new URL(`/api/v1/files/${id}/content/`, base), { headers });
    assert.ok(Buffer.from(await back.arrayBuffer()).equals(content));
  });
}

test('tus-js-client gives an upload up', async () => {
  const headers = await register();
  const address = await upload(randomBytes(10), headers);
  await tus.Upload.terminate(address, { headers });
  const gone = await fetch(address, { method: 'HEAD', headers: { ...headers, 'tus-resumable': '1.0.0' } });
  assert.equal(gone.status, 404);
});
