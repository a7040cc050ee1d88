// A wallet as browsers have one (EIP-1193), with a key of the test's own: what it is asked to sign it signs as EIP-712 says.
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

const word = (hex) => hexToBytes(hex.padStart(64, '0'));
const encoders = {
  string: (text) => keccak_256(utf8ToBytes(text)),
  uint256: (number) => word(BigInt(number).toString(16)),
  address: (address) => word(address.slice(2).toLowerCase()),
  bytes32: (bytes) => word(bytes.slice(2)),
};

function hashStruct(types, name, value) {
  const type = `${name}(${types[name].map((field) => `${field.type} ${field.name}`).join(',')})`;
  return keccak_256(concatBytes(keccak_256(utf8ToBytes(type)), ...types[name].map((field) => encoders[field.type](value[field.name]))));
}

/** `0x…` of 65 bytes. */
function sign(key, { types, primaryType, domain, message }) {
  const digest = keccak_256(concatBytes(Uint8Array.of(0x19, 1), hashStruct(types, 'EIP712Domain', domain), hashStruct(types, primaryType, message)));
  const signature = secp256k1.sign(digest, key, { prehash: false, format: 'recovered' });
  // The library writes the recovery bit first, contracts want it last.
  return `0x${bytesToHex(signature.slice(1))}${(27 + signature[0]).toString(16)}`;
}

/** Gives the tab a wallet; `declines` says no when it is asked to sign. */
export async function giveWallet(page, { declines = false } = {}) {
  const key = randomBytes(32);
  const address = `0x${bytesToHex(keccak_256(secp256k1.getPublicKey(key, false).slice(1)).slice(12))}`;
  let chain = '0x1';
  await page.exposeFunction('walletAsked', (method, params = []) => {
    switch (method) {
      case 'eth_requestAccounts': return { value: [address] };
      case 'eth_chainId': return { value: chain };
      case 'wallet_switchEthereumChain': chain = params[0].chainId; return { value: null };
      case 'eth_signTypedData_v4': return declines ? { code: 4001 } : { value: sign(key, JSON.parse(params[1])) };
      default: return { code: 4200 };
    }
  });
  await page.addInitScript(() => {
    window.ethereum = {
      async request({ method, params }) {
        const { value, code } = await window.walletAsked(method, params);
        if (code) throw Object.assign(new Error('refused'), { code });
        return value;
      },
    };
  });
  return address;
}
