// Fills ui/dist: our own styles, scripts and brand pictures, and the third-party files the pages need.
//
// Everything that a page links lies in dist/static under a name with the hash of its bytes, so that browsers may keep
// it for ever; brand files keep plain names, because other people link them. Texts also get .gz and .br twins, so that
// the server never compresses them while somebody waits. manifest.json tells the server what is there.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { Resvg, initWasm } from '@resvg/resvg-wasm';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const modules = join(here, 'node_modules');
const read = (...parts) => readFileSync(join(here, ...parts));
const packageVersion = (name) => JSON.parse(readFileSync(join(modules, name, 'package.json'))).version;

const TYPES = {
  '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png',
  '.ico': 'image/x-icon', '.txt': 'text/plain; charset=utf-8', '.webmanifest': 'application/manifest+json',
};
/** The icons our pages use; adding one is adding its lucide name here. */
const ICONS = [
  'activity', 'arrow-right', 'arrow-up-right', 'blocks', 'book-open', 'boxes', 'building-2', 'check', 'coins', 'copy', 'download', 'file-json',
  'image', 'key-round', 'layers', 'link', 'list', 'lock', 'message-circle', 'monitor', 'moon', 'search', 'server', 'shield-check', 'smartphone', 'sun',
  'sun-moon', 'terminal', 'workflow',
];
const ICON_SIZES = [16, 32, 48, 64, 128, 180, 192, 256, 384, 512];

const manifest = { files: [], static: {}, brand: [] };

/** Writes one file and its compressed twins, and notes it. `path` is below dist, with forward slashes. */
function put(path, bytes) {
  const body = Buffer.from(bytes);
  const file = { path, content_type: TYPES[extname(path)], sha256: createHash('sha256').update(body).digest('hex'), encodings: [] };
  const target = join(dist, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, body);
  if (!['.png', '.ico'].includes(extname(path)) && body.length > 1024) {
    writeFileSync(`${target}.gz`, gzipSync(body, { level: 9 }));
    const quality = { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
    writeFileSync(`${target}.br`, brotliCompressSync(body, { params: quality }));
    file.encodings.push('br', 'gzip');
  }
  manifest.files.push(file);
}

/** A file that pages link by its short name, `portal.css`; its address carries the hash. */
function putStatic(name, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const path = `static/${name.replace(/(\.[a-z]+)$/, `.${hash}$1`)}`;
  put(path, bytes);
  const integrity = `sha384-${createHash('sha384').update(bytes).digest('base64')}`;
  manifest.static[name] = { path, integrity };
}

function putBrand(name, kind, bytes, width, height) {
  put(name, bytes);
  manifest.brand.push({ name, kind, content_type: TYPES[extname(name)], width, height });
}

const render = (svg, width) => new Resvg(svg, { fitTo: { mode: 'width', value: width } }).render().asPng();

/** An ICO file is a small directory in front of PNG pictures; every browser since 2009 reads PNG in it. */
function ico(pictures) {
  const head = Buffer.alloc(6 + 16 * pictures.length);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(pictures.length, 4);
  let offset = head.length;
  pictures.forEach(({ size, png }, index) => {
    const at = 6 + 16 * index;
    head.writeUInt8(size, at);
    head.writeUInt8(size, at + 1);
    head.writeUInt16LE(1, at + 4);
    head.writeUInt16LE(32, at + 6);
    head.writeUInt32LE(png.length, at + 8);
    head.writeUInt32LE(offset, at + 12);
    offset += png.length;
  });
  return Buffer.concat([head, ...pictures.map(({ png }) => png)]);
}

function brand() {
  const [favicon, maskable, logo, og] = ['favicon', 'maskable', 'logo', 'og'].map((name) => read('brand', `${name}.svg`));
  putBrand('logo.svg', 'logo', logo, 44, 44);
  putBrand('logo.png', 'logo', render(logo, 512), 512, 512);
  for (const name of ['wordmark', 'wordmark-on-dark']) {
    const svg = read('brand', `${name}.svg`);
    putBrand(`${name}.svg`, 'wordmark', svg, 205, 44);
    putBrand(`${name}.png`, 'wordmark', render(svg, 1025), 1025, 220);
  }
  putBrand('favicon.svg', 'favicon', favicon, 64, 64);
  putBrand('favicon.ico', 'favicon', ico([16, 32, 48].map((size) => ({ size, png: render(favicon, size) }))), 48, 48);
  for (const size of ICON_SIZES) putBrand(`icon-${size}.png`, 'app-icon', render(size === 180 ? maskable : favicon, size), size, size);
  putBrand('icon-maskable-512.png', 'app-icon-maskable', render(maskable, 512), 512, 512);
  putBrand('og.png', 'social', render(og, 1200), 1200, 630);
  const icon = (size, purpose) => ({ src: `icon-${purpose === 'maskable' ? 'maskable-' : ''}${size}.png`, sizes: `${size}x${size}`, type: 'image/png', purpose });
  putBrand('site.webmanifest', 'manifest', JSON.stringify({
    name: 'LOOP Developer Portal', short_name: 'LOOP', start_url: '/', display: 'minimal-ui', background_color: '#0d1513', theme_color: '#0b5d50',
    icons: [icon(192, 'any'), icon(384, 'any'), icon(512, 'any'), icon(512, 'maskable')],
  }, null, 2), null, null);
}

function sprite() {
  const symbols = ICONS.map((name) => {
    const svg = readFileSync(join(modules, 'lucide-static/icons', `${name}.svg`), 'utf8');
    const inner = svg.replace(/<!--[\s\S]*?-->/g, '').replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, '').replace(/\s+/g, ' ').trim();
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>\n`;
}

/** Source maps are not shipped, so the pointer to them goes: a browser's tools would only find a 404. */
const thirdParty = (path) => readFileSync(join(modules, path), 'utf8').replace(/\n?\/\*?[/#*]*# sourceMappingURL=[^\n]*\n?$/, '\n');

/** ReDoc's menu shows a logo from its maker's CDN. Pages of ours ask no other host, so the picture (not the credit) goes. */
function redoc() {
  const remote = '"https://cdn.redoc.ly/redoc/logo-mini.svg"';
  const source = thirdParty('redoc/bundles/redoc.standalone.js');
  if (source.split(remote).length !== 2) throw new Error('redoc no longer holds the one remote picture that build.mjs takes out: look again');
  return source.replace(remote, '"data:,"');
}

/** The licences of what is served ask to travel with it. */
function licences() {
  const parts = [
    ['swagger-ui-dist', ['LICENSE', 'NOTICE', 'swagger-ui-bundle.js.LICENSE.txt']],
    ['redoc', ['LICENSE', 'bundles/redoc.standalone.js.LICENSE.txt']],
    ['lucide-static', ['LICENSE']],
  ];
  return parts.map(([name, files]) => {
    const texts = files.map((file) => readFileSync(join(modules, name, file), 'utf8').trim());
    return [`==== ${name} ${packageVersion(name)} ====`, ...texts].join('\n\n');
  }).join('\n\n\n') + '\n';
}

rmSync(dist, { recursive: true, force: true });
await initWasm(readFileSync(join(modules, '@resvg/resvg-wasm/index_bg.wasm')));
brand();
for (const name of readdirSync(join(here, 'src')).sort()) putStatic(name, read('src', name));
putStatic('icons.svg', sprite());
putStatic('swagger-ui.css', thirdParty('swagger-ui-dist/swagger-ui.css'));
putStatic('swagger-ui.js', thirdParty('swagger-ui-dist/swagger-ui-bundle.js'));
putStatic('redoc.js', redoc());
put('licences.txt', licences());
writeFileSync(join(dist, 'manifest.json'), JSON.stringify(manifest, null, 1));
console.log(`ui/dist: ${manifest.files.length} files`);
