import { test } from 'tap';
import { Glob } from '../../supervisor/gate/glob.js';
import { fc } from '../kit/property.js';

/** Obviously right and exponentially slow: every way to place the stars is tried. */
function matchNaively(pattern: string, text: string): boolean {
  if (pattern.endsWith('/**') && pattern.length > 3 && matchNaively(pattern.slice(0, -3), text)) return true;
  const walk = (p: number, at: number): boolean => {
    if (p === pattern.length) return at === text.length;
    if (pattern[p] !== '*') return text[at] === pattern[p] && walk(p + 1, at + 1);
    let end = p;
    while (pattern[end + 1] === '*') end++;
    for (let next = at; next <= text.length; next++) {
      if (walk(end + 1, next)) return true;
      if (end === p && text[next] === '/') return false;
    }
    return false;
  };
  return walk(0, 0);
}

test('a glob, against known cases, matches within segments and across them', (t) => {
  const cases: [string, string, boolean][] = [
    ['cwd://a', 'cwd://a', true],
    ['cwd://a', 'cwd://ab', false],
    ['cwd://*.txt', 'cwd://notes.txt', true],
    ['cwd://*.txt', 'cwd://sub/notes.txt', false],
    ['cwd://**.txt', 'cwd://sub/notes.txt', true],
    ['cwd://secret/**', 'cwd://secret/a/b', true],
    ['cwd://secret/**', 'cwd://secret', true],
    ['cwd://secret/**', 'cwd://secrets', false],
    ['cwd://secret/*', 'cwd://secret', false],
    ['**/.env', 'cwd://.env', true],
    ['**/.env', 'home://app/.env', true],
    ['**/.env', 'cwd://x.env', false],
    ['**', '', true],
    ['*', '/', false],
    ['a**b', 'a/b', true],
    ['a?c', 'abc', false],
    ['a[b]c', 'a[b]c', true],
    ['a\\b', 'a\\b', true],
    ['a*', 'a', true],
    ['*a', 'a', true],
  ];
  for (const [pattern, text, expected] of cases) {
    t.equal(new Glob(pattern).matches(text), expected, `${pattern} ${expected ? 'matches' : 'does not match'} ${text}`);
  }
  t.throws(() => new Glob(''), RangeError);
  t.throws(() => new Glob('a'.repeat(1025)), RangeError);
  t.end();
});

test('a glob, on any pattern and text, agrees with the naive oracle', (t) => {
  const piece = fc.constantFrom('*', '**', 'a', 'b', '/', 'é', '\u{1f600}');
  const pattern = fc.array(piece, { minLength: 1, maxLength: 9 }).map((pieces) => pieces.join(''));
  const text = fc
    .array(fc.constantFrom('a', 'b', '/', 'é', '\u{1f600}'), { maxLength: 9 })
    .map((chars) => chars.join(''));
  fc.assert(
    fc.property(pattern, text, (glob, name) => new Glob(glob).matches(name) === matchNaively(glob, name)),
    { numRuns: 20_000 },
  );
  t.end();
});

test('a glob longer than one word of states, agrees with the oracle at the seams', (t) => {
  for (let length = 29; length <= 68; length++) {
    const text = 'x'.repeat(length);
    t.ok(new Glob(text).matches(text), `${length} literals`);
    t.notOk(new Glob(text).matches(`${text}x`), `${length} literals and one more character`);
    for (const star of ['*', '**']) {
      const pattern = `${'x'.repeat(length - 2)}${star}yz`;
      t.ok(new Glob(pattern).matches(`${'x'.repeat(length)}yz`), `${star} after ${length - 2}`);
      t.ok(new Glob(pattern).matches(`${'x'.repeat(length - 2)}yz`), `empty ${star} after ${length - 2}`);
      t.notOk(new Glob(pattern).matches(`${'x'.repeat(length - 3)}yz`), `too short for ${length - 2}`);
    }
  }
  t.end();
});

test('a hostile pattern, on a hostile text, costs characters times words and no more', (t) => {
  const hostile: [string, string][] = [
    ['*(*(*(a|b)))*', 'a'.repeat(4096)],
    [`${'*a'.repeat(34)}x*`, 'a'.repeat(4096)],
    [`${'**/'.repeat(13)}x*`, 'a/'.repeat(2048)],
    [`${'**a'.repeat(300)}`, 'a'.repeat(4096)],
    [`${'*/'.repeat(500)}**`, 'a/'.repeat(2048)],
    ['*'.repeat(1024), 'a'.repeat(4096)],
  ];
  for (const [pattern, text] of hostile) {
    const glob = new Glob(pattern);
    const once = glob.run(text).steps;
    // Twice: a pattern that ends in a slash and two stars is also tried as the directory itself.
    t.ok(once > 0 && once <= 2 * text.length * glob.words, `${pattern.slice(0, 12)}…: ${once} steps`);
    t.equal(glob.run(text + text).steps, 2 * once, 'twice the text, twice the steps');
  }
  t.end();
});
