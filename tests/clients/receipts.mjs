// Receipts verified as Loomal's documents say: canonicalize, tweetnacl, multiformats, and the DID document at its address.
import assert from 'node:assert/strict';
import canonicalize from 'canonicalize';
import { base58btc } from 'multiformats/bases/base58';
import nacl from 'tweetnacl';
import { BASE } from './world.mjs';

const isSigned = ({ body, signature }, key) =>
  nacl.sign.detached.verify(new TextEncoder().encode(canonicalize(body)), Buffer.from(signature, 'base64'), key);

/** The key in `z6Mk…`: base58btc, less the two bytes that say Ed25519. */
const keyOf = (multibase) => base58btc.decode(multibase).slice(2);

function verify(receipt, key) {
  assert.ok(isSigned(receipt, key), 'the receipt is signed');
  for (const [name, value] of Object.entries({ amountUsdcRaw: '1', payerAddress: receipt.body.recipientAddress, version: 2 })) {
    assert.ok(!isSigned({ ...receipt, body: { ...receipt.body, [name]: value } }, key), `another ${name} is not signed`);
  }
}

/** As `redeem` gives it: `{body, signature, publicKeyHex, alg}`. */
export function verifyRedeemed({ ok, signedReceipt, paymentInId, txHash, payer }) {
  assert.equal(ok, true);
  assert.equal(signedReceipt.alg, 'Ed25519');
  verify(signedReceipt, Buffer.from(signedReceipt.publicKeyHex, 'hex'));
  const { body } = signedReceipt;
  assert.deepEqual([body.version, body.paymentInId, body.txHash, body.payerAddress], [1, paymentInId, txHash, payer]);
}

/** As `GET /v0/payments/:id` gives it: `{body, signature, publicKey, did}`; the key is also the one in the DID document. */
export async function verifyDetail(payment, identityId) {
  const { signedReceipt } = payment;
  verify(signedReceipt, keyOf(signedReceipt.publicKey));
  for (const name of ['payerAddress', 'recipientAddress', 'amountUsdcRaw', 'network', 'txHash', 'endpointId']) {
    assert.equal(signedReceipt.body[name], payment[name], name);
  }
  assert.equal(signedReceipt.body.identityId, identityId);

  // did:web:HOST:identities:ID is read at https://HOST/identities/ID/did.json; on this machine without TLS.
  const [, method, host, ...path] = signedReceipt.did.split(':');
  assert.equal(method, 'web');
  assert.equal(decodeURIComponent(host), new URL(BASE).host);
  const document = await (await fetch(`http://${decodeURIComponent(host)}/${path.join('/')}/did.json`)).json();
  assert.equal(document.id, signedReceipt.did);
  const [method0] = document.verificationMethod;
  assert.ok(document.assertionMethod.includes(method0.id));
  verify(signedReceipt, keyOf(method0.publicKeyMultibase));
}
