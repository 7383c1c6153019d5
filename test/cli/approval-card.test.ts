import { test } from 'tap';
import { CARD_LINES_MAX, findForeignLetters, layOutApproval } from '../../cli/view/approval-card.js';
import { measureWidth } from '../../cli/view/width.js';
import { makeApproval } from '../kit/fake-supervisor.js';
import { fc } from '../kit/property.js';

const SCREEN = { columns: 80, rows: 24, now: 2_000, reserve: 2 };

const linesOf = (row = makeApproval(), screen = SCREEN) =>
  layOutApproval(row, screen).lines.map((spans) => spans.map((span) => span.text).join(''));

test('an approval, ordinary, shows what, who, why and what it does', async (t) => {
  t.same(linesOf(makeApproval()), [
    'approval a1  pending 2s',
    'what  write_file cwd://notes.txt',
    'who   capsule fs, for default, session s1',
    'why   mode guided asks before every change (risk medium, args abababababab)',
    'does  + hello',
  ]);
});

test('an approval, ten thousand newlines before the arguments, keeps every line of it on the screen', async (t) => {
  for (const detail of [['\n'.repeat(10_000), 'rm -rf /'], Array.from({ length: 10_000 }, () => '')]) {
    const card = layOutApproval(makeApproval({ detail }), SCREEN);
    t.equal(card.lines.length, CARD_LINES_MAX - SCREEN.reserve);
    t.match(card.lines.at(-1)?.[0]?.text, /… \d+ more lines$/);
    t.ok(card.hiddenLines > 9_000);
    t.match(card.lines[1]?.[1]?.text, 'cwd://notes.txt');
  }
});

test('an approval, a resource of a thousand characters, shows both ends and how much is missing', async (t) => {
  const text = linesOf(makeApproval({ resource: `cwd://a${'/x'.repeat(600)}/../../etc/passwd` })).join('\n');
  t.match(text, 'write_file cwd://a/x');
  t.match(text, /…\d+ characters…/);
  t.match(text.replaceAll(/\n +/g, ''), '/etc/passwd');
});

test('an approval, any text in any field and any screen, stays inside the screen and free of control characters', async (t) => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom('\x1b[2K\x1b[1A', '\u202egpj.exe', 'a\n'.repeat(500), '\x1b]8;;http://x\x07', '你'.repeat(400)),
  );
  const rows = fc.record({
    resource: hostile,
    action: hostile,
    capsule: hostile,
    principal: hostile,
    risk: hostile,
    detail: fc.array(hostile, { maxLength: 40 }),
  });
  const screens = fc.record({ columns: fc.integer({ min: 30, max: 200 }), rows: fc.integer({ min: 14, max: 60 }) });
  fc.assert(
    fc.property(rows, screens, (over, screen) => {
      const lines = linesOf(makeApproval(over), { ...SCREEN, ...screen });
      const fits = lines.length <= Math.min(CARD_LINES_MAX, screen.rows - 1) - SCREEN.reserve;
      return fits && lines.every((line) => measureWidth(line) < screen.columns && !/[\x00-\x1f\x7f-\x9f]/.test(line));
    }),
  );
  t.pass();
});

test('an approval, a host with a look-alike letter, names the letter', async (t) => {
  t.match(
    linesOf(makeApproval({ resource: 'https://p\u0430ypal.com' })).join('\n'),
    'letters outside ASCII: \u0430 U+0430',
  );
  t.same(findForeignLetters('plain ascii → …'), [], 'marks and arrows are no letters');
});
