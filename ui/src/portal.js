// Adds comfort to pages that are whole without it: theme, copying, one language for all examples, filling in, finding.

const root = document.documentElement;

/** Storage may be switched off; a choice then counts for this page only. */
const memory = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* see above */ } },
};

function themeToggle() {
  const button = document.querySelector('[data-theme-toggle]');
  if (!button) return;
  const next = { auto: 'light', light: 'dark', dark: 'auto' };
  const icons = { auto: 'sun-moon', light: 'sun', dark: 'moon' };
  const names = { auto: 'as the system', light: 'light', dark: 'dark' };
  const use = button.querySelector('use');
  const show = () => {
    const theme = root.dataset.theme ?? 'auto';
    use.setAttribute('href', use.getAttribute('href').replace(/#.*/, `#${icons[theme]}`));
    button.querySelector('.unseen').textContent = `Theme: ${names[theme]}`;
    button.title = `Theme: ${names[theme]}`;
  };
  button.addEventListener('click', () => {
    const theme = next[root.dataset.theme ?? 'auto'];
    if (theme === 'auto') delete root.dataset.theme; else root.dataset.theme = theme;
    memory.set('loop-theme', theme === 'auto' ? null : theme);
    show();
    root.dispatchEvent(new CustomEvent('loop:theme'));
  });
  show();
  button.hidden = false;
}

/** The clipboard needs a secure address; on plain http a selection and the old command still do. */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  if (!isCopied) throw new Error('the browser did not copy');
}

function copyButtons() {
  for (const button of document.querySelectorAll('[data-copy]')) {
    const words = button.querySelector('.words');
    const use = button.querySelector('use');
    const show = (text, icon) => {
      words.textContent = text;
      use.setAttribute('href', use.getAttribute('href').replace(/#.*/, `#${icon}`));
    };
    let timer;
    button.addEventListener('click', async () => {
      const panels = [...button.closest('.code').querySelectorAll('pre')];
      const visible = panels.find((pre) => pre.offsetParent !== null);
      try {
        await copy(visible.textContent);
        show('Copied', 'check');
      } catch {
        show('Press Ctrl+C', 'copy');
        getSelection().selectAllChildren(visible);
      }
      clearTimeout(timer);
      timer = setTimeout(() => show('Copy', 'copy'), 2000);
    });
    words.setAttribute('aria-live', 'polite');
    button.hidden = false;
  }
}

/** Whoever reads Python reads it in all examples. */
function oneLanguage() {
  const choose = (language, except) => {
    for (const input of document.querySelectorAll('.tabs input')) if (input.value === language && input !== except) input.checked = true;
  };
  document.addEventListener('change', ({ target }) => {
    if (!target.matches?.('.tabs input')) return;
    // What is above the reader may change its height; the block under the pointer must stay where it is.
    const before = target.closest('.tabs').getBoundingClientRect().top;
    choose(target.value, target);
    memory.set('loop-language', target.value);
    scrollBy({ top: target.closest('.tabs').getBoundingClientRect().top - before, behavior: 'instant' });
  });
  const language = memory.get('loop-language');
  if (language) choose(language);
}

/** Puts the reader's own token and company into the examples. They are kept nowhere but in the two fields. */
function fillIn() {
  const box = document.querySelector('[data-fill-in]');
  if (!box) return;
  const examples = document.querySelector('.example-list');
  const places = [...examples.querySelectorAll('.ph[data-place="access_token"]')];
  const companies = [...examples.querySelectorAll('.s')].filter((span) => /^"X-Company-ID: 001"$|^"001"$/.test(span.textContent));
  const patterns = companies.map((span) => span.textContent);
  // A quote or a line break in a pasted value would break out of the example's quotes.
  const clean = (value, wanted) => value.trim().replace(wanted, '');
  box.addEventListener('input', ({ target }) => {
    if (target.dataset.fill === 'access_token') {
      const token = clean(target.value, /[^A-Za-z0-9._~+/=-]/g);
      for (const place of places) {
        place.textContent = token || '<access_token>';
        place.classList.toggle('filled', token !== '');
      }
    } else {
      const code = clean(target.value, /[^A-Za-z0-9-]/g) || '001';
      companies.forEach((span, index) => { span.textContent = patterns[index].replace('001', code); });
    }
  });
  box.hidden = false;
}

/** Filters the reference by what is written about each resource. */
function find() {
  const box = document.querySelector('[data-find-box]');
  if (!box) return;
  const input = box.querySelector('input');
  const count = box.querySelector('[data-find-count]');
  const modules = [...document.querySelectorAll('.module')];
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const module of modules) {
      let hits = 0;
      for (const resource of module.querySelectorAll('[data-find]')) {
        resource.hidden = !words.every((word) => resource.dataset.find.includes(word));
        if (!resource.hidden) hits += 1;
      }
      const isEmpty = hits === 0 && words.length > 0;
      module.hidden = isEmpty;
      shown += hits;
    }
    count.textContent = words.length === 0 ? '' : shown === 1 ? '1 resource' : `${shown} resources`;
  };
  input.addEventListener('input', filter);
  box.hidden = false;
}

/** A link to a folded resource opens it. */
function openTarget() {
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.matches?.('details')) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener('hashchange', open);
  open();
}

/** The contents are open where they stand beside the text and folded where they stand above it. */
function foldContents() {
  const contents = document.querySelector('.side details');
  if (!contents) return;
  const isNarrow = matchMedia('(max-width: 60rem)');
  const fold = () => { contents.open = !isNarrow.matches; };
  isNarrow.addEventListener('change', fold);
  contents.addEventListener('click', ({ target }) => { if (isNarrow.matches && target.closest('a')) contents.open = false; });
  fold();
}

themeToggle();
copyButtons();
oneLanguage();
fillIn();
find();
foldContents();
openTarget();
