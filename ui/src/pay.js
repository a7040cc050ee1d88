// A pay link: pays with the wallet that this browser has, and sees when somebody else has paid. Without it the page is whole all the same.

const slip = document.getElementById('slip');
const words = JSON.parse(slip.dataset.words);
const button = document.querySelector('[data-pay]');
const complaint = document.querySelector('[data-wrong]');
const progress = document.querySelector('[data-progress]');

/** How often the page asks how it stands, and for how long; and how long a payment that is under way is asked about. */
const LOOK_MS = 5_000;
const LOOKS = 360;
const PENDING_LOOKS = 24;

const decode = (text) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
const encode = (value) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))));
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Asks as a program does; the body is read to its end, so that nothing is left open when the page goes. */
async function ask(headers = {}) {
  const answer = await fetch(location.href, { headers: { accept: 'application/json', ...headers }, cache: 'no-store' });
  const body = await answer.json().catch(() => null);
  return { status: answer.status, required: answer.headers.get('payment-required'), code: body?.error?.code };
}

function say(text = '', isWrong = false) {
  complaint.textContent = isWrong ? text : '';
  complaint.hidden = !(isWrong && text);
  progress.textContent = isWrong ? '' : text;
  progress.hidden = isWrong || !text;
}

/** What wallets show and sign: EIP-3009 in the words of EIP-712. */
function typed(accepted, authorization) {
  const field = (type) => (name) => ({ name, type });
  const [string, uint, address] = [field('string'), field('uint256'), field('address')];
  return {
    types: {
      EIP712Domain: [string('name'), string('version'), uint('chainId'), address('verifyingContract')],
      TransferWithAuthorization: [
        address('from'), address('to'), uint('value'), uint('validAfter'), uint('validBefore'), { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'TransferWithAuthorization',
    domain: { ...accepted.extra, chainId: Number(accepted.network.split(':')[1]), verifyingContract: accepted.asset },
    message: authorization,
  };
}

/** Has the wallet sign what is asked; the header that pays. */
async function signed(wallet, required) {
  const [accepted] = required.accepts;
  const [from] = await wallet.request({ method: 'eth_requestAccounts' });
  const chainId = `0x${Number(accepted.network.split(':')[1]).toString(16)}`;
  if (await wallet.request({ method: 'eth_chainId' }) !== chainId) await wallet.request({ method: 'wallet_switchEthereumChain', params: [{ chainId }] });
  const now = Math.floor(Date.now() / 1000);
  const nonce = `0x${[...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  const authorization = {
    from, to: accepted.payTo, value: accepted.amount, validAfter: String(now - 600), validBefore: String(now + accepted.maxTimeoutSeconds), nonce,
  };
  const data = JSON.stringify(typed(accepted, authorization));
  const signature = await wallet.request({ method: 'eth_signTypedData_v4', params: [from, data] });
  return encode({ x402Version: 2, resource: required.resource, accepted, payload: { signature, authorization } });
}

/** Shows the payment until it is known what became of it: never a second one for a first whose answer was lost. */
async function shown(header) {
  for (let look = 0; look < PENDING_LOOKS; look += 1) {
    const answer = await ask({ 'PAYMENT-SIGNATURE': header }).catch(() => null);
    if (answer && answer.status !== 503) return answer;
    say(words.pending);
    await pause(LOOK_MS);
  }
  return null;
}

async function pay(wallet) {
  const { status, required } = await ask();
  if (status !== 402 || !required) return location.reload();
  say(words.sign);
  let header;
  try {
    header = await signed(wallet, decode(required));
  } catch (refusal) {
    // 4001: the person said no (EIP-1193).
    return say(refusal?.code === 4001 ? words.declined : words.wallet, true);
  }
  say(words.sending);
  const answer = await shown(header);
  if (!answer) return say(words.unknown, true);
  if (answer.status === 402) return say(words.refused, true);
  return location.reload();
}

/** Reloads once it stands otherwise than the page says: paid from a telephone, or by an agent. */
async function watch(state) {
  for (let look = 0; look < LOOKS; look += 1) {
    await pause(LOOK_MS);
    if (document.hidden || button?.disabled) continue;
    const answer = await ask().catch(() => null);
    if (!answer || answer.status === 429) continue;
    const now = answer.status === 402 ? 'unpaid' : answer.code === 'payment_in_progress' ? 'in-progress' : answer.code;
    if (now !== state) return location.reload();
  }
  return null;
}

if (button && window.ethereum) {
  document.querySelector('[data-no-wallet]').hidden = true;
  button.hidden = false;
  button.addEventListener('click', async () => {
    button.disabled = true;
    say();
    await pay(window.ethereum).catch(() => say(words.refused, true));
    button.disabled = false;
  });
}
if (['unpaid', 'in-progress'].includes(slip.dataset.state)) watch(slip.dataset.state);
