import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Fault } from '../../../abi/errno.js';
import { parseManifest } from '../../../supervisor/capsule/manifest-loader.js';
import { BOTH_STYLES } from '../../capsule/manifest-texts.js';
import { PACKAGE_ROOT } from '../../kit/package-root.js';
import { applyEdits, editsOf, type FuzzTarget, property } from '../target.js';

const CAPSULES = ['fs', 'provider-offline', 'react', 'router', 'session'].map((name) => `capsules/${name}`);
const TEMPLATES = ['as', 'interceptor', 'orchestrator', 'provider', 'tool', 'uplink'].map(
  (name) => `cli/author/templates/${name}`,
);
const REAL = [...CAPSULES, ...TEMPLATES].map((folder) =>
  readFileSync(join(PACKAGE_ROOT, folder, 'Capsule.toml'), 'utf8'),
);
const corpus = fc.constantFrom(BOTH_STYLES, ...REAL);

const odd = fc.constantFrom(
  ...[
    '',
    '0',
    '-1',
    '1e999',
    'nan',
    'inf',
    'true',
    '[]',
    '{}',
    '[[]]',
    '""',
    "''",
    '"""',
    "'''",
    '\\',
    '"\\u0000"',
    '"\\uD800"',
    '"__proto__"',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '1979-05-27',
    '1979-05-27T07:32:00Z',
    '07:32:00',
    '9223372036854775808',
    '0x',
    '0xff',
    '0b2',
    '1_000',
    '_',
  ],
  ...[
    '=',
    '.',
    ',',
    '[',
    ']',
    '{',
    '}',
    '#',
    '\n',
    '\r\n',
    '\r',
    '\t',
    '\0',
    '\ufeff',
    '"',
    "'",
    'é',
    '\u202e',
    '*',
    '..',
    '/',
    '[package]\n',
    '[[package]]\n',
  ],
  ...[
    '[package.name]\n',
    'name = "x"\n',
    'abi = 3\n',
    '[limits]\n',
    '[[component]]\n',
    'a.b.c = 1\n',
    '"" = 1\n',
    '[""]\n',
    '[publish]\n',
    '"a.*" = {}\n',
  ],
);
const insert = fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 12 })).map((text) => Buffer.from(text));

/** A manifest with its lines repeated, dropped, or in another order. */
const shuffled = fc.tuple(corpus, corpus, fc.array(fc.nat(200), { maxLength: 60 })).map(([first, second, order]) => {
  const lines = [...first.split('\n'), ...second.split('\n')];
  return [...first.split('\n').slice(0, 4), ...order.map((at) => lines[at % lines.length])].join('\n');
});
/** One value, key or header replaced by an odd one. */
const replaced = fc.tuple(corpus, fc.nat(200), odd, fc.boolean()).map(([text, at, word, isValue]) => {
  const lines = text.split('\n');
  const index = at % lines.length;
  const line = lines[index] ?? '';
  lines[index] = isValue ? line.replace(/=.*/, `= ${word}`) : line.replace(/^[^=]*/, `${word} `);
  return lines.join('\n');
});
/** Large and regular: what is slow with its square shows here. */
const large = fc
  .tuple(
    corpus,
    fc.oneof(
      odd,
      fc.constantFrom('a = { ', '"a" = 1, ', '[[component]]\n', '[x.y]\n', '"\\\\', '# \n', 'a.', '{a=', '[', ' '),
    ),
    fc.integer({ min: 1, max: 40_000 }),
    fc.boolean(),
  )
  .map(([text, word, times, isFirst]) => {
    const bulk = word.repeat(Math.min(times, Math.floor(250_000 / Math.max(1, word.length))));
    return isFirst ? bulk + text : `${text}\n${bulk}`;
  });
/** As many different keys, tables or items as fit. */
const many = fc
  .tuple(
    corpus,
    fc.constantFrom(
      '[package.x%]\n',
      'k% = 1\n',
      '"t%.v1.a" = {}\n',
      '[[component]]\nid = "c%"\n',
      '[env.k%]\ntype = "text"\n',
      '[imports.n%]\na = "1"\n',
      '[[command]]\nname = "c%"\n',
    ),
    fc.constantFrom('', '[env]\n', '[publish]\n', '[subscribe]\n', '[imports]\n', '[limits]\n'),
    fc.integer({ min: 1, max: 6000 }),
  )
  .map(([text, line, header, times]) =>
    `${text}\n${header}${Array.from({ length: times }, (_, index) => line.replace('%', String(index))).join('')}`.slice(
      0,
      250_000,
    ),
  );

/** Read, or refused with one of two codes and the place that is wrong. */
function isRead(text: string): boolean {
  try {
    const { name, version, warnings } = parseManifest(text);
    return typeof name === 'string' && typeof version === 'string' && Array.isArray(warnings);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    const { code, field, message } = thrown;
    if (code === 'too_large') return field === 'Capsule.toml' && Buffer.byteLength(text) > 256 * 1024;
    if (code !== 'bad_manifest' || field === undefined || field === '') throw thrown;
    if (message.length > 20_000) throw new Error(`a message of ${message.length} characters`);
    return true;
  }
}

export const MANIFESTS: FuzzTarget = [
  property('any text, is refused with its field', 500, fc.string({ unit: 'binary', maxLength: 400 }), isRead),
  property(
    'odd words in any order, are read or refused with their field',
    1000,
    fc.array(odd, { maxLength: 60 }).map((words) => words.join(' ')),
    isRead,
  ),
  property(
    'a real manifest with bytes changed, is read or refused with its field',
    800,
    fc.tuple(corpus, editsOf(insert)),
    ([text, edits]) => isRead(applyEdits(Buffer.from(text), edits).toString('utf8')),
  ),
  property('a real manifest with a value or a key replaced, is read or refused with its field', 800, replaced, isRead),
  property('lines of real manifests in another order, are read or refused with their field', 500, shuffled, isRead),
  property('a large and regular text, is answered in time', 60, large, isRead),
  property('a text of very many entries, is answered in time', 30, many, isRead),
];
