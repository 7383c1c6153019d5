import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { FaultCode } from '../../../abi/errno.js';
import { packArchive } from '../../../cli/capsule/archive-writer.js';
import { gunzipOne } from '../../../cli/capsule/gzip-reader.js';
import { openPackage } from '../../../cli/capsule/package.js';
import { readTar } from '../../../cli/capsule/tar-reader.js';
import { type RawEntry, TAR_END, tarEntry, tarOf } from '../../kit/tar-bytes.js';
import { answerOf, asyncAnswerOf, asyncProperty, type FuzzTarget, property } from '../target.js';

/** Codes that a package out of hostile bytes may be refused with; anything else is a finding. */
const EXPECTED: readonly FaultCode[] = ['bad_archive', 'bad_manifest', 'not_found', 'too_large'];

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

const good = tarOf([
  { name: 'Capsule.toml', body: '[package]\nname = "demo"\nversion = "1.0.0"\n[[component]]\nfile = "demo.wasm"\n' },
  { name: 'demo.wasm', body: Buffer.alloc(600, 'x') },
]);

const plainName = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,3}$/);

function isClean(read: () => ReadonlyMap<string, Buffer>): boolean {
  const files = answerOf(EXPECTED, read);
  return files === null || checkFiles(files);
}

const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength });

/** Keeps the first bytes, adds others, changes one. */
function damage(packed: Buffer, [at, byte, keep, tail]: readonly [number, number, number, Uint8Array]): Buffer {
  const damaged = Buffer.concat([packed.subarray(0, keep), tail]);
  if (at < damaged.length) damaged[at] = byte;
  return damaged;
}

async function isReadBack(record: Readonly<Record<string, Uint8Array>>): Promise<boolean> {
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
}

export const ARCHIVES: FuzzTarget = [
  property('random bytes as a tar', 600, anyBytes(3000), (bytes) => isClean(() => readTar(Buffer.from(bytes)))),
  property('hostile entries', 800, fc.tuple(fc.array(entry, { maxLength: 8 }), fc.boolean()), ([entries, ends]) =>
    isClean(() => readTar(Buffer.concat([...entries.map(tarEntry), ...(ends ? [TAR_END] : [])]))),
  ),
  property('a good tar with bytes changed', 800, changes, (list) => {
    const changed = Buffer.from(good);
    for (const [at, byte] of list) changed[at] = byte;
    return isClean(() => readTar(changed));
  }),
  asyncProperty(
    'a good package with packed bytes changed, cut or added',
    200,
    fc.tuple(fc.nat(400), fc.nat(255), fc.nat(400), anyBytes(40)),
    async (change) => {
      await asyncAnswerOf(EXPECTED, () => openPackage(damage(gzipSync(good), change)));
      return true;
    },
  ),
  asyncProperty(
    'what is packed is read back',
    100,
    fc.dictionary(plainName, anyBytes(2000), { maxKeys: 8, noNullPrototype: true }),
    isReadBack,
  ),
];
