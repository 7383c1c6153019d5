import { parse } from 'smol-toml';
import { test } from 'tap';
import { formatTomlPath, TomlLines } from '../../supervisor/capsule/toml-lines.js';
import { fc } from '../kit/property.js';

const DOCUMENT = [
  '# a comment with [brackets] and = signs', // 1
  'top = "a # no comment"', // 2
  '', // 3
  '[package] # the package', // 4
  'name = "demo"', // 5
  'text = """', // 6
  '[not.a.header]', // 7
  'nor = "a key" \\"""', // 8
  '"""', // 9
  "raw = '''", // 10
  "[neither]'''", // 11
  'list = [ # more', // 12
  '  "]",', // 13
  '  1,', // 14
  ']', // 15
  'after = 1', // 16
  '[publish]', // 17
  '"a.v1.*" = { wit = "x", nested = { deep = 1 } }', // 18
  "'b.v1' = 1", // 19
  '"c\\u002ed" = 1', // 20
  'x . "y z" . w = 1', // 21
  '[[interceptor]]', // 22
  'event = "a"', // 23
  '[interceptor.more]', // 24
  'key = 1', // 25
  '[[interceptor]]', // 26
  'event = "b"', // 27
  '[[interceptor.inner]]', // 28
  'one = 1', // 29
  '[[ interceptor . inner ]]', // 30
  'two = 2', // 31
].join('\r\n');

const LINES: readonly (readonly [path: readonly (string | number)[], line: number])[] = [
  [['top'], 2],
  [['package'], 4],
  [['package', 'name'], 5],
  [['package', 'text'], 6],
  [['package', 'raw'], 10],
  [['package', 'list', 1], 12],
  [['package', 'after'], 16],
  [['package', 'missing'], 4],
  [['not'], 0],
  [['publish', 'a.v1.*'], 18],
  [['publish', 'a.v1.*', 'wit'], 18],
  [['publish', 'a.v1.*', 'nested', 'deep'], 18],
  [['publish', 'b.v1'], 19],
  [['publish', 'c.d'], 20],
  [['publish', 'x', 'y z', 'w'], 21],
  [['interceptor'], 22],
  [['interceptor', 0, 'event'], 23],
  [['interceptor', 0, 'more', 'key'], 25],
  [['interceptor', 1], 26],
  [['interceptor', 1, 'event'], 27],
  [['interceptor', 1, 'inner', 0, 'one'], 29],
  [['interceptor', 1, 'inner', 1, 'two'], 31],
  [['interceptor', 1, 'inner', 1, 'absent'], 30],
];

test('toml lines, every kind of key, has the line where it stands', (t) => {
  t.ok(parse(DOCUMENT), 'the document is valid');
  const lines = new TomlLines(DOCUMENT);
  for (const [path, line] of LINES) t.equal(lines.lineOf(path), line, formatTomlPath(path));
  t.end();
});

test('toml lines, every key that the parser finds, is found on a line that holds it', (t) => {
  const bare = fc.constantFrom('a', 'b', 'c-1', 'd_2');
  const value = fc.constantFrom('1', '"x = 1"', '[1, 2]', '"""\n[z]\n"""', '{ q = 1 }', '[\n1,\n# ]\n]');
  const statement = fc.oneof(
    fc.tuple(bare, value).map(([key, text]) => `${key} = ${text}`),
    fc.tuple(bare, bare, fc.boolean()).map(([a, b, repeated]) => (repeated ? `[[${a}.${b}]]` : `[${a}.${b}]`)),
  );
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 12 }), (statements) => {
      const text = statements.join('\n');
      const lines = new TomlLines(text);
      let document: unknown;
      try {
        document = parse(text);
      } catch {
        return;
      }
      const rows = text.split('\n');
      for (const key of Object.keys(document as object)) {
        const line = lines.lineOf([key]);
        if (!rows[line - 1]?.includes(key)) throw new Error(`${key} is not on line ${line}`);
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

test('toml lines, any text, is read to its end', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => new TomlLines(text).lineOf(['a']) >= 0),
  );
  t.end();
});

test('toml lines, paths in messages, are quoted where they must be and bounded', (t) => {
  t.equal(formatTomlPath(['interceptor', 0, 'event']), 'interceptor[0].event');
  t.equal(formatTomlPath(['publish', 'a.v1.*', 'wit']), 'publish."a.v1.*".wit');
  t.equal(formatTomlPath(['\u001b[2K']), '"?[2K"');
  t.ok(formatTomlPath(['x'.repeat(10_000)]).length < 80);
  t.end();
});
