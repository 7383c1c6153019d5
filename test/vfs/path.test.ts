import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { grantCovers, parseGuestPath } from '../../supervisor/vfs/path.js';
import { fc } from '../kit/property.js';

function parse(text: string): string {
  const { scheme, segments } = parseGuestPath(text);
  return `${scheme}:${segments.join('|')}`;
}

function refusalOf(text: string): string {
  try {
    parseGuestPath(text);
    return 'ok';
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

test('a guest path, in every form of the reference, names a root and the components below it', (t) => {
  const forms: readonly (readonly [string, string])[] = [
    ['', 'cwd:'],
    ['.', 'cwd:'],
    ['/', 'cwd:'],
    ['cwd://', 'cwd:'],
    ['cwd://a/b', 'cwd:a|b'],
    ['cwd:///etc/passwd', 'cwd:etc|passwd'],
    ['/etc/passwd', 'cwd:etc|passwd'],
    ['//etc//passwd/', 'cwd:etc|passwd'],
    ['a/./b/../c', 'cwd:a|c'],
    ['home://', 'home:'],
    ['home://.config/env', 'home:.config|env'],
    ['tmp://x', 'tmp:x'],
    ['/tmp', 'tmp:'],
    ['/tmp/', 'tmp:'],
    ['/tmp/x', 'tmp:x'],
    ['//tmp/x', 'cwd:tmp|x'],
    ['/tmpfile', 'cwd:tmpfile'],
    ['workspace://x', 'cwd:workspace:|x'],
    ['CWD://x', 'cwd:CWD:|x'],
    ['home:/x', 'cwd:home:|x'],
    ['a\\..\\b', 'cwd:a\\..\\b'],
    ['a. /b ', 'cwd:a. |b '],
    ['...', 'cwd:...'],
    ['a\nb', 'cwd:a\nb'],
    ['.wh.x', 'cwd:.wh.x'],
  ];
  for (const [text, expected] of forms) t.equal(parse(text), expected, JSON.stringify(text));
  t.not(parse('caf\u00e9'), parse('cafe\u0301'), 'no normalisation: two spellings are two names');
  t.end();
});

test('a path that would leave its root, or that no file system takes, is refused with a code', (t) => {
  for (const text of [
    '..',
    '../x',
    'a/../..',
    'a/./../..',
    'a/../../etc/x',
    'cwd://../x',
    'home://..',
    '/tmp/../etc',
  ]) {
    t.equal(refusalOf(text), 'escapes_root', text);
  }
  t.equal(refusalOf('a\0b'), 'invalid_argument', 'NUL');
  t.equal(refusalOf('a\ud800'), 'invalid_argument', 'a lone surrogate would become another name on disk');
  t.equal(refusalOf('x'.repeat(255)), 'ok');
  t.equal(refusalOf('x'.repeat(256)), 'invalid_argument', 'a name of 256 bytes');
  t.equal(refusalOf('é'.repeat(128)), 'invalid_argument', 'bytes are counted, not characters');
  t.equal(refusalOf(`${'a/'.repeat(128)}`), 'ok');
  t.equal(refusalOf(`${'a/'.repeat(129)}`), 'invalid_argument', 'deeper than any tree we walk');
  t.equal(refusalOf('/'.repeat(4096)), 'ok');
  t.equal(refusalOf('/'.repeat(4097)), 'too_large');
  t.end();
});

test('whatever the text, a parsed path stays below its root and parses to itself again', (t) => {
  const piece = fc.constantFrom('..', '.', '', 'a', 'b c', '...', 'é', '~', '\\', '\n', 'cwd:', '*');
  const text = fc
    .tuple(fc.constantFrom('', '/', 'cwd://', 'home://', 'tmp://', '/tmp/'), fc.array(piece, { maxLength: 12 }))
    .map(([prefix, pieces]) => `${prefix}${pieces.join('/')}`);
  fc.assert(
    fc.property(text, (candidate) => {
      if (refusalOf(candidate) !== 'ok') return;
      const path = parseGuestPath(candidate);
      const odd = path.segments.filter((name) => name === '' || name === '.' || name === '..' || name.includes('/'));
      if (odd.length > 0) throw new Error(`a component is ${JSON.stringify(odd)}`);
      const again = parseGuestPath(`${path.scheme}://${path.segments.join('/')}`);
      if (again.display !== path.display) throw new Error('not stable');
    }),
    { numRuns: 2000 },
  );
  t.pass('2,000 texts');
  t.end();
});

test('what a prompt shows of a path, with characters that hide or reorder text in it, is escaped and unambiguous', (t) => {
  const shown = (text: string) => parseGuestPath(text).display;
  t.equal(shown('a/b'), 'cwd://a/b');
  t.equal(shown('a\n\u001b[2Kb'), 'cwd://a\\u{a}\\u{1b}[2Kb');
  t.equal(shown('x\u202egnp.exe'), 'cwd://x\\u{202e}gnp.exe');
  t.equal(shown('x\u200by'), 'cwd://x\\u{200b}y');
  t.not(shown('a\n'), shown('a\\u{a}'), 'a name that spells an escape looks different');
  t.end();
});

test('a grant covers what lies at or below it, by whole components, and nothing else', (t) => {
  const covers = (grant: string, text: string) => grantCovers([grant], parseGuestPath(text));
  t.ok(covers('*', 'a/b'));
  t.ok(covers('*', 'cwd://'));
  t.notOk(covers('*', 'home://a'), '* is the workspace only');
  t.notOk(covers('*', 'tmp://a'));
  t.ok(covers('cwd://', 'a'));
  t.ok(covers('cwd://src', 'src'));
  t.ok(covers('cwd://src', 'cwd://src/a/b'));
  t.ok(covers('cwd://src/', 'src/a'));
  t.notOk(covers('cwd://src', 'srcx'), 'a prefix of a name is no prefix of a path');
  t.notOk(covers('cwd://src', 'home://src'));
  t.notOk(covers('cwd://src', 'src/../other'), '`..` is resolved before the grant is looked at');
  t.notOk(covers('cwd://../x', 'x'), 'a grant that leaves its root grants nothing');
  for (const literal of ['/', '/etc', 'src', '', '**', '/tmp', 'tmp', 'c*', 'file:///etc']) {
    t.notOk(covers(literal, 'src'), `${JSON.stringify(literal)} is no grant`);
    t.notOk(covers(literal, '/tmp/x'), `${JSON.stringify(literal)} is no grant`);
  }
  t.ok(covers('home://', '/tmp/x'), 'tmp lies inside the home');
  t.ok(covers('home://.local/tmp', '/tmp/x'));
  t.ok(covers('home://.local', 'tmp://'));
  t.notOk(covers('home://docs', '/tmp/x'));
  t.ok(covers('tmp://', '/tmp/x'));
  t.notOk(covers('tmp://', 'home://.local/tmp/x'), 'and not the other way round');
  t.notOk(grantCovers([], parseGuestPath('a')), 'nothing granted, nothing covered');
  t.end();
});
