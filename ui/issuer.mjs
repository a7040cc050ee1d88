// A provider of identity on a port of its own, with a real key and a page where somebody says yes: OpenID Connect's code flow with PKCE.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';

export const CLIENT_ID = 'loop';
export const CLIENT_SECRET = 'the client\'s secret: of 40 characters +/';

const base64url = (value) => Buffer.from(value).toString('base64url');
/** `application/x-www-form-urlencoded` of one value, as RFC 6749 (2.3.1) wants it of a client's secret. */
const escaped = (text) => new URLSearchParams({ x: text }).toString().slice(2);
const form = async (request) => new URLSearchParams(Buffer.concat(await request.toArray()).toString());

/** Starts a provider; `person` is who says yes there, and may be changed: `{ sub, email, email_verified }`. */
export async function startIssuer(person) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const codes = new Map();
  const basic = `Basic ${Buffer.from(`${CLIENT_ID}:${escaped(CLIENT_SECRET)}`).toString('base64')}`;
  let base;

  const token = (claims) => {
    const signed = `${base64url(JSON.stringify({ alg: 'ES256', typ: 'JWT', kid: 'e' }))}.${base64url(JSON.stringify(claims))}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };

  /** What a code is changed for: the client's secret, the code once, its address and its verifier. */
  const exchange = (asked, shown) => {
    const granted = codes.get(asked.get('code'));
    codes.delete(asked.get('code'));
    const challenge = createHash('sha256').update(asked.get('code_verifier') ?? '').digest('base64url');
    const isGood = shown === basic && granted && granted.get('redirect_uri') === asked.get('redirect_uri') && granted.get('code_challenge') === challenge;
    if (!isGood) return [400, { error: 'invalid_grant' }];
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: base, aud: CLIENT_ID, iat: now, exp: now + 300, nonce: granted.get('nonce'), ...person };
    return [200, { access_token: 'unused', token_type: 'Bearer', id_token: token(claims) }];
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, base);
    const json = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /.well-known/openid-configuration':
        return json(200, {
          issuer: base, authorization_endpoint: `${base}/authorize`, token_endpoint: `${base}/token`, jwks_uri: `${base}/keys`,
          response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['ES256'],
          authorization_response_iss_parameter_supported: true,
        });
      case 'GET /keys':
        return json(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'e' }] });
      case 'GET /authorize': {
        response.writeHead(200, { 'content-type': 'text/html' });
        return response.end(`<!doctype html><title>Works</title><link rel="icon" href="data:,"><form method="post"><button name="say" value="yes">Yes</button><button name="say" value="no">No</button></form>`);
      }
      case 'POST /authorize': {
        const said = (await form(request)).get('say');
        const back = new URL(url.searchParams.get('redirect_uri'));
        const code = randomBytes(16).toString('hex');
        if (said === 'yes') codes.set(code, url.searchParams);
        const answer = { state: url.searchParams.get('state'), iss: base, ...(said === 'yes' ? { code } : { error: 'access_denied' }) };
        for (const [name, value] of Object.entries(answer)) back.searchParams.set(name, value);
        return response.writeHead(303, { location: back.href }).end();
      }
      case 'POST /token':
        return json(...exchange(await form(request), request.headers.authorization));
      default:
        return json(404, {});
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${server.address().port}`;
  return { base, person, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}
