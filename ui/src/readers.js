// Starts Swagger UI or ReDoc on their pages, in the page's theme, over our own schema only.

const root = document.documentElement;
const place = document.querySelector('[data-reader]');
const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : systemIsDark.matches);

// `?api=loomal` reads another product's document. Only those that the page names are read.
const wanted = new URLSearchParams(location.search).get('api') ?? '';
const links = [...document.querySelectorAll('[data-api]')];
const chosen = links.find((link) => link.dataset.api === wanted) ?? links[0];
chosen.setAttribute('aria-current', 'page');
let schemaUrl = chosen.dataset.schema ?? place.dataset.schema;
// The calls of a single section are shown at once; of many sections, their names are.
let hasOneSection = false;

// LOOP itself is read part by part: `?module=booking`, or the part that an anchor to one of its operations names.
const parts = document.querySelector('[data-parts]');
if (chosen === links[0]) {
  const part = parts.querySelector('select');
  const asked = new URLSearchParams(location.search).get('module') ?? location.hash.match(/^#\/?(?:tag\/)?([^/]+)/)?.[1];
  if ([...part.options].some((option) => option.value === asked)) part.value = asked;
  hasOneSection = part.value !== 'all' && part.value !== 'core';
  if (part.value !== 'all') schemaUrl += `&module=${encodeURIComponent(part.value)}`;
  part.addEventListener('change', () => location.assign(`${location.pathname}?module=${encodeURIComponent(part.value)}`));
  parts.hidden = false;
}

function failed(reason) {
  place.querySelector('[data-reader-state]').textContent = `The API description could not be read: ${reason}`;
}

function swagger() {
  const target = document.createElement('div');
  place.append(target);
  const follow = () => root.classList.toggle('dark-mode', isDark());
  follow();
  systemIsDark.addEventListener('change', follow);
  root.addEventListener('loop:theme', follow);
  window.SwaggerUIBundle({
    domNode: target,
    url: schemaUrl,
    deepLinking: true,
    docExpansion: hasOneSection ? 'list' : 'none',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    // The public validator would be asked from the reader's browser.
    validatorUrl: null,
  });
  // It draws some time after it has read the schema. It brings a second main landmark then; a page has one.
  const drawn = new MutationObserver(() => {
    const inner = target.querySelector('main');
    if (!inner) return;
    inner.setAttribute('role', 'group');
    place.querySelector('.reader-wait')?.remove();
    place.dataset.ready = 'true';
    drawn.disconnect();
  });
  drawn.observe(target, { childList: true, subtree: true });
}

function colours() {
  const style = getComputedStyle(root);
  // A custom property that holds light-dark() has to be resolved by a real property first.
  const probe = document.createElement('i');
  document.body.append(probe);
  const value = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(['--ink', '--ink-soft', '--ground', '--surface', '--line', '--brand', '--brand-strong', '--code-ground', '--good', '--bad'].map((name) => [name, value(name)]));
  probe.remove();
  return { found, font: style.getPropertyValue('--sans').trim(), mono: style.getPropertyValue('--mono').trim() };
}

async function redoc() {
  const response = await fetch(schemaUrl, { headers: { accept: 'application/json' } });
  if (!response.ok) return failed(`the server answered ${response.status}`);
  const schema = await response.json();
  const draw = () => {
    const { found: c, font, mono } = colours();
    const target = document.createElement('div');
    place.querySelector('.redoc-target')?.remove();
    target.className = 'redoc-target';
    place.append(target);
    const theme = {
      spacing: { sectionVertical: 28 },
      breakpoints: { small: '50rem', medium: '78rem', large: '105rem' },
      colors: {
        primary: { main: c['--brand'] }, success: { main: c['--good'] }, error: { main: c['--bad'] },
        text: { primary: c['--ink'], secondary: c['--ink-soft'] }, border: { dark: c['--line'], light: c['--line'] },
        // The tabs of answers stand on the dark panel in both themes.
        responses: { success: { tabTextColor: '#9fe0b8' }, error: { tabTextColor: '#f5b3b0' }, redirect: { tabTextColor: '#f2c879' }, info: { tabTextColor: '#8fc1f5' } },
        gray: { 50: c['--surface'], 100: c['--surface'] },
      },
      schema: { nestedBackground: c['--surface'], linesColor: c['--line'], typeNameColor: c['--ink-soft'], typeTitleColor: c['--ink-soft'] },
      typography: {
        fontSize: '15px', lineHeight: '1.6', fontFamily: font, headings: { fontFamily: font, fontWeight: '650' },
        code: { fontFamily: mono, fontSize: '13px', color: c['--brand'], backgroundColor: c['--surface'] },
        links: { color: c['--brand'], visited: c['--brand'], hover: c['--brand'] },
      },
      sidebar: { width: '17rem', backgroundColor: c['--ground'], textColor: c['--ink'], activeTextColor: c['--brand'] },
      rightPanel: { backgroundColor: c['--code-ground'], textColor: '#e9f0ed' },
      codeBlock: { backgroundColor: 'rgb(0 0 0 / 0.35)' },
      fab: { backgroundColor: c['--brand-strong'], color: '#ffffff' },
    };
    const bar = document.querySelector('.top');
    const top = getComputedStyle(bar).position === 'sticky' ? bar.offsetHeight : 0;
    window.Redoc.init(schema, { theme, scrollYOffset: top, expandResponses: '200,201', requiredPropsFirst: true, hideDownloadButton: false, nativeScrollbars: true }, target, (error) => {
      if (error) return failed(error.message);
      place.querySelector('.reader-wait')?.remove();
      place.dataset.ready = 'true';
    });
  };
  draw();
  // ReDoc takes its colours once, so a change of theme draws it anew.
  let last = isDark();
  const redraw = () => { if (isDark() !== last) { last = isDark(); draw(); } };
  systemIsDark.addEventListener('change', redraw);
  root.addEventListener('loop:theme', redraw);
}

if (place.dataset.reader === 'swagger') swagger();
else redoc().catch((error) => failed(error.message));
