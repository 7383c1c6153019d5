import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { QuickJS } from 'quickjs-wasi';
import { type Test, test } from 'tap';
import { bundleGuestSource, closeGuestBundler } from '../kit/guest-bundle.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { fc } from '../kit/property.js';

/** The module's functions over hex, so that nothing but ASCII crosses between engines. */
const SOURCE = `
  import { decodeUtf8, decodeUtf8Strict, encodeUtf8 } from 'astrid/sdk/utf8';
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  globalThis.encode = (json) => hex(encodeUtf8(JSON.parse(json)));
  globalThis.decode = (text) => JSON.stringify(decodeUtf8(bytes(text)));
  globalThis.strict = (text) => JSON.stringify(decodeUtf8Strict(bytes(text)) ?? null);
`;

type Engine = (name: 'encode' | 'decode' | 'strict', argument: string) => string;

/** JSON with every character above ASCII escaped, lone surrogates among them. */
const ascii = (text: string): string =>
  JSON.stringify(text).replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A realm without base64 in byte arrays: the loops. */
async function loopEngine(): Promise<Engine> {
  const context = createContext({}) as Record<string, (argument: string) => string>;
  runInContext(await bundleGuestSource(SOURCE), context);
  return (name, argument) => context[name]!(argument);
}

/** The engine capsules run in: base64 and escape. */
async function quickEngine(): Promise<Engine & { dispose(): void }> {
  const vm = await QuickJS.create(readFileSync(join(PACKAGE_ROOT, 'node_modules/quickjs-wasi/quickjs.wasm')));
  vm.evalCode(await bundleGuestSource(SOURCE)).dispose();
  const run: Engine = (name, argument) => {
    const result = vm.evalCode(`${name}(${JSON.stringify(argument)})`);
    const text = String(vm.dump(result));
    result.dispose();
    return text;
  };
  return Object.assign(run, { dispose: () => vm.dispose() });
}

const MALFORMED = [
  'ff',
  '80',
  'c0af',
  'c1bf',
  'e08080',
  'eda080',
  'edbfbf',
  'f08080af',
  'f4908080',
  'f5808080',
  'c3',
  'e282',
  'f09f98',
  '61c3',
  'e28261',
  'f09f9861',
  'c328',
  'f8888080',
  'eda0bdedb880',
  '61ff62ff63',
  'e282ace2',
];

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const fatal = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

function checkEngine(t: Test, engine: Engine, runs: number): void {
  const anyText = fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', 'é', '€', '😀', '\ud800', '\udc00', '\0'),
      fc.nat({ max: 0x10ffff }).map((point) => String.fromCodePoint(point)),
    ),
    maxLength: 20,
  });
  fc.assert(
    fc.property(anyText, (text) => {
      const repaired = Buffer.from(text).toString();
      const encoded = Buffer.from(repaired).toString('hex');
      if (engine('encode', ascii(text)) !== encoded) throw new Error(`encode ${ascii(text)}`);
      if (JSON.parse(engine('strict', encoded)) !== repaired) throw new Error(`strict ${encoded}`);
    }),
    { numRuns: runs },
  );
  const piece = fc.oneof(
    fc.constantFrom(...MALFORMED),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    fc.constantFrom('61', 'c3a9', 'f09f9880'),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const hex = pieces.join('');
      const bytes = Buffer.from(hex, 'hex');
      if (JSON.parse(engine('decode', hex)) !== lossy.decode(bytes)) throw new Error(`decode ${hex}`);
      let expected: string | null = null;
      try {
        expected = fatal.decode(bytes);
      } catch {
        // Not UTF-8: the strict decoder says so with null.
      }
      if (JSON.parse(engine('strict', hex)) !== expected) throw new Error(`strict ${hex}`);
    }),
    { numRuns: runs },
  );
  for (const hex of MALFORMED) {
    t.equal(JSON.parse(engine('decode', hex)), lossy.decode(Buffer.from(hex, 'hex')), `decode ${hex}`);
    t.equal(engine('strict', hex), 'null', `strict ${hex}`);
  }
}

test('utf8, an engine without native help, the same as the standard decoder and encoder', async (t) => {
  checkEngine(t, await loopEngine(), 2000);
});

test('utf8, QuickJS, the same as the standard decoder and encoder', async (t) => {
  const engine = await quickEngine();
  checkEngine(t, engine, 300);
  engine.dispose();
});

test('end', async () => closeGuestBundler());
