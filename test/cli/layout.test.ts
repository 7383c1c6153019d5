import { test } from 'tap';
import { formatAge, formatBytes, formatCount, formatCpu, formatTime } from '../../cli/view/human.js';
import { type Column, layOutTable } from '../../cli/view/table.js';
import { cutEnd, cutMiddle, measureWidth, takeWidth } from '../../cli/view/width.js';
import { fc } from '../kit/property.js';

interface Row {
  readonly name: string;
  readonly size: string;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', cell: (row) => row.name },
  { title: 'SIZE', align: 'right', cell: (row) => row.size },
  { title: 'NOTE', cell: (row) => row.note, shrinkTo: 4 },
];

const textOf = (spans: readonly { readonly text: string }[]) => spans.map((span) => span.text).join('');

test('a table, cells of different length, columns are aligned and the last one is not padded', async (t) => {
  const rows = [
    { name: 'a', size: '1', note: 'x' },
    { name: 'longer', size: '1024', note: 'yy' },
  ];
  t.same(layOutTable(COLUMNS, rows).map(textOf), ['NAME    SIZE  NOTE', 'a          1  x', 'longer  1024  yy']);
});

test('a table, wide and combining letters, columns stay aligned', async (t) => {
  const rows = [
    { name: '你好', size: '1', note: 'x' },
    { name: 'e\u0301', size: '2', note: 'y' },
  ];
  const widths = layOutTable(COLUMNS, rows).map((spans) => measureWidth(textOf(spans.slice(0, 2))));
  t.equal(new Set(widths).size, 1);
});

test('a table, a terminal that is too narrow, gives way in the columns that may shrink', async (t) => {
  const rows = [{ name: 'a', size: '1', note: 'a very long note indeed' }];
  const lines = layOutTable(COLUMNS, rows, 20).map(textOf);
  t.ok(lines.every((line) => measureWidth(line) <= 20));
  t.match(lines[1], /…$/);
});

test('a table, a cell with newlines and escapes, stays one line', async (t) => {
  const lines = layOutTable(COLUMNS, [{ name: 'a\nb\x1b[2K', size: '1', note: '' }]).map(textOf);
  t.match(lines[1], /^a\\nb\\u\{1b\}\[2K {2}/);
});

test('cutting, any text and width, never is wider than asked', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer({ min: 4, max: 80 }), (text, columns) => {
      const cuts = [cutEnd(text, columns), cutMiddle(text, columns), takeWidth(text, columns)];
      return cuts.every((cut) => measureWidth(cut) <= columns);
    }),
  );
  t.pass();
});

test('cutting in the middle, a long text, keeps both ends and says how much is missing', async (t) => {
  const cut = cutMiddle(`cwd://start${'x'.repeat(500)}/etc/passwd`, 60);
  t.match(cut, /^cwd:\/\/start/);
  t.match(cut, /\/etc\/passwd$/);
  t.match(cut, /…\d+ characters…/);
});

test('sizes, ages and times, are short and say their unit', async (t) => {
  t.same([0, 1023, 1024, 1536, 64 * 2 ** 20, 2 ** 50].map(formatBytes), ['0B', '1023B', '1K', '1.5K', '64M', '1024T']);
  t.same([0, 820, 12_400, 245_000, 11_520_000, 457_200_000].map(formatAge), [
    '0ms',
    '820ms',
    '12s',
    '4m05s',
    '3h12m',
    '5d07h',
  ]);
  t.same([420, 12_340, 90_000].map(formatCpu), ['0.42s', '12.3s', '1m30s']);
  t.equal(formatTime(0), '1970-01-01 00:00:00.000Z');
  t.equal(formatTime(Number.NaN), '-');
  t.same([formatCount(1, 'file'), formatCount(2, 'file')], ['1 file', '2 files']);
});
