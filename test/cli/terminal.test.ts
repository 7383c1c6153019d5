import { test } from 'tap';
import { paint, type StyleName, Terminal } from '../../cli/view/terminal.js';
import { TurnView } from '../../cli/view/turn-view.js';
import { Capture } from '../kit/fake-io.js';
import { fc } from '../kit/property.js';

const STYLES: readonly StyleName[] = ['plain', 'bold', 'dim', 'red', 'green', 'yellow', 'cyan'];
const OWN_ESCAPES = /\x1b\[(?:[0-9]{1,2})m/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b-\u200f]/;

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('\x1b[2K', '\x1b]8;;x\x07', '\x9b2J', '\r', '\u202e', '\u200b'),
);

/** What a terminal shows of text that goes through each of its methods, as a string and as a span. */
function writeAll(text: string, style: StyleName, color: boolean): string {
  const capture = new Capture({ tty: true });
  const terminal = new Terminal(capture, { color });
  terminal.write(text, paint(style, text));
  terminal.line(text, paint(style, text));
  terminal.prose(text);
  terminal.json({ [text]: text });
  return capture.text;
}

test('a terminal, any text by any method, writes no escape but its own colours', async (t) => {
  fc.assert(
    fc.property(hostile, fc.constantFrom(...STYLES), fc.boolean(), (text, style, color) => {
      const written = writeAll(text, style, color);
      const left = color ? written.replaceAll(OWN_ESCAPES, '') : written;
      return !CONTROL.test(left);
    }),
  );
  t.match(writeAll('x', 'red', true), '\x1b[31mx\x1b[0m', 'with colours');
  t.notMatch(writeAll('x', 'red', false), /\x1b/, 'without colours');
});

test('a terminal, one line, is one line whatever it holds', async (t) => {
  const capture = new Capture({});
  new Terminal(capture, { color: false }).line('a\nb', paint('red', 'c\n'));
  t.equal(capture.text, 'a\\nbc\\n\n');
});

test('a terminal, no terminal, gets no control sequence; one that was never told its size has a usual one', async (t) => {
  const capture = new Capture({});
  new Terminal(capture, { color: false }).control('clearLine');
  t.equal(capture.text, '');
  const unsized = new Terminal(new Capture({ tty: true, columns: 0, rows: 0 }), { color: false });
  t.same([unsized.columns, unsized.rows], [80, 24]);
});

test('a terminal, whose reader is gone, tells once and takes what is still written', async (t) => {
  const capture = new Capture({});
  const told: string[] = [];
  const terminal = new Terminal(capture, { color: false, onBroken: (error) => told.push(error.message) });
  capture.destroy(new Error('EPIPE'));
  await new Promise((resolve) => capture.once('close', resolve));
  await terminal.flush();
  terminal.line('nobody reads this');
  await terminal.drained();
  t.same(told, ['EPIPE']);
});

test('a turn on the screen, a response that differs from what was streamed, is printed whole', async (t) => {
  const capture = new Capture({});
  const view = new TurnView(new Terminal(capture, { color: false }));
  view.show({ type: 'delta', text: 'half of ' });
  view.show({ type: 'response', text: 'half of it', isFinal: true });
  view.show({ type: 'delta', text: 'one thing' });
  view.show({ type: 'response', text: 'another', isFinal: true });
  view.show({ type: 'lagged', count: 2 });
  t.equal(capture.text, 'half of it\none thing\nanother\n(2 messages were lost on the way here)\n');
});
