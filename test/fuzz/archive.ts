import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { asFault } from '../../abi/errno.js';
import { packArchive } from '../../cli/capsule/archive-writer.js';
import { gunzipOne } from '../../cli/capsule/gzip-reader.js';
import { openPackage } from '../../cli/capsule/package.js';
import { readTar } from '../../cli/capsule/tar-reader.js';
import { type RawEntry, TAR_END, tarEntry, tarOf } from '../kit/tar-bytes.js';

/** Codes that a package out of hostile bytes may be refused with; anything else is a finding. */
const EXPECTED = new Set(['bad_archive', 'bad_manifest', 'not_found', 'too_large']);

const segment = fc.oneof(
  fc.constantFrom(
    '..',
    '.',
    '',
    'a',
    'A',
    'Capsule.toml',
    'demo.wasm',
    '\u00e9',
    'e\u0301',
    'C:',
    '\\',
    '\0',
    '\n',
    'stra\u00dfe',
    'STRASSE',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const name = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const entry: fc.Arbitrary<RawEntry> = fc.record(
  {
    name,
    body: fc.string({ unit: 'binary', maxLength: 700 }),
    type: fc.constantFrom('0', '0', '0', '5', '1', '2', '3', '6', 'x', 'g', 'L', 'K', 'S', '\0', '7'),
    prefix: name,
    size: fc.constantFrom('00000000000\0', '77777777777\0', '           \0', '\x80\0\0\0\0\0\0\0\0\0\0\x01'),
    magic: fc.constantFrom('ustar\x0000', 'ustar  \0', '', 'ustar\0\0\0'),
    badChecksum: fc.boolean(),
  },
  { requiredKeys: ['name'] },
);

/** What may come out of an archive, whatever was in it: plain relative paths, no two of which any file system confuses. */
function checkFiles(files: ReadonlyMap<string, Buffer>): boolean {
  const folded = new Set<string>();
  for (const path of files.keys()) {
    if (/[\\\x00-\x1f\x7f]/.test(path) || path.startsWith('/')) return false;
    if (path.split('/').some((part) => part === '' || part === '.' || part === '..')) return false;
    const key = path.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
    if (folded.has(key)) return false;
    folded.add(key);
  }
  return true;
}

function isExpected(thrown: unknown): boolean {
  return EXPECTED.has(asFault(thrown).code);
}

function safely(read: () => ReadonlyMap<string, Buffer>): boolean {
  try {
    return checkFiles(read());
  } catch (thrown) {
    return isExpected(thrown);
  }
}

async function safelyAsync(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (thrown) {
    return isExpected(thrown);
  }
}

const good = tarOf([
  { name: 'Capsule.toml', body: '[package]\nname = "demo"\nversion = "1.0.0"\n[[component]]\nfile = "demo.wasm"\n' },
  { name: 'demo.wasm', body: Buffer.alloc(600, 'x') },
]);

const plainName = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,3}$/);

type Property = fc.IProperty<unknown> | fc.IAsyncProperty<unknown>;

/** Each property with its share of the runs. */
export const PROPERTIES: Readonly<Record<string, { readonly share: number; readonly property: Property }>> = {
  'random bytes as a tar': {
    share: 0.2,
    property: fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) =>
      safely(() => readTar(Buffer.from(bytes))),
    ) as Property,
  },
  'hostile entries': {
    share: 0.4,
    property: fc.property(fc.array(entry, { maxLength: 8 }), fc.boolean(), (entries, ends) =>
      safely(() => readTar(Buffer.concat([...entries.map(tarEntry), ...(ends ? [TAR_END] : [])]))),
    ) as Property,
  },
  'a good tar with bytes changed': {
    share: 0.2,
    property: fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      (changes) => {
        const changed = Buffer.from(good);
        for (const [at, byte] of changes) changed[at] = byte;
        return safely(() => readTar(changed));
      },
    ) as Property,
  },
  'a good package with packed bytes changed, cut or added': {
    share: 0.1,
    property: fc.asyncProperty(
      fc.nat(400),
      fc.nat(255),
      fc.nat(400),
      fc.uint8Array({ maxLength: 40 }),
      (at, byte, keep, tail) => {
        const packed = Buffer.concat([gzipSync(good).subarray(0, keep), tail]);
        if (at < packed.length) packed[at] = byte;
        return safelyAsync(() => openPackage(packed));
      },
    ) as Property,
  },
  'what is packed is read back': {
    share: 0.1,
    property: fc.asyncProperty(
      fc.dictionary(plainName, fc.uint8Array({ maxLength: 2000 }), { maxKeys: 8 }),
      async (record) => {
        const files = new Map(Object.entries(record).map(([path, bytes]) => [path, Buffer.from(bytes)]));
        const names = [...files.keys()];
        // A file below another file is no archive at all.
        if (names.some((one) => names.some((other) => other.startsWith(`${one}/`)))) return true;
        const [first, second] = [await packArchive(files), await packArchive(files)];
        const read = readTar(await gunzipOne(first));
        return (
          first.equals(second) &&
          read.size === files.size &&
          [...files].every(([path, bytes]) => read.get(path)?.equals(bytes))
        );
      },
    ) as Property,
  },
};

export async function fuzzArchive(runs: number, seed?: number): Promise<string[]> {
  const lines: string[] = [];
  for (const [what, { share, property }] of Object.entries(PROPERTIES)) {
    const numRuns = Math.max(1, Math.round(runs * share));
    await fc.assert(property as fc.IAsyncProperty<unknown>, { numRuns, ...(seed === undefined ? {} : { seed }) });
    lines.push(`${what}: ${numRuns} runs, no finding`);
  }
  return lines;
}
