import { LIMITS } from '../../../abi/limits.js';
import {
  type Arg,
  type CallProfile,
  type ConformanceCase,
  casesOf,
  fault,
  fill,
  OK_EMPTY,
  okJson,
  okText,
  okWhere,
  step,
  text,
  textParam,
  type Want,
} from '../case.js';

/** 4,096 bytes: sixteen names of the longest kind, each with its slash. */
const longest = (char: string) => `${char.repeat(255)}/`.repeat(16);
const LONGEST = longest('a');
/** 4,096 bytes that end in a name. */
const LONGEST_FILE = `${`${'f'.repeat(255)}/`.repeat(15)}f/${'f'.repeat(254)}`;
const notText = fault('invalid_argument', /path/);
const refused = fault('capability_missing');
const notFound = fault('not_found');

/** What every call with a path must answer, whatever it does. */
function pathCases(call: string, reads: boolean, rest: readonly Arg[]): ConformanceCase[] {
  const at = (name: string, path: string, want: Want, more: Partial<ConformanceCase> = {}) => ({
    name,
    args: [text(path), ...rest],
    want,
    ...more,
  });
  const absent = call === 'astrid_fs_exists' || !reads ? OK_EMPTY : notFound;
  return casesOf(call, [
    at('a way out of the workspace', 'cwd://../outside', fault('escapes_root'), { kind: 'hostile' }),
    at('a way out of a directory', 'dir/../../outside', fault('escapes_root'), { kind: 'hostile' }),
    at('a NUL in the path', 'a\0b', notText, { kind: 'hostile' }),
    at('a name of 255 bytes', call.padEnd(255, 'n'), absent, { kind: 'limit' }),
    at('a name of 256 bytes', 'a'.repeat(256), notText, { kind: 'limit' }),
    at('a path of 128 names', `${`${call}/`.repeat(127)}x`, absent, { kind: 'limit' }),
    at('a path of 129 names', `${`${call}/`.repeat(128)}x`, notText, { kind: 'limit' }),
    at('outside of what the manifest grants', 'home://elsewhere', refused, { kind: 'capability' }),
    at('a capsule without the capability', 'note.txt', refused, { kind: 'capability', role: 'bare' }),
    at('no session, so no workspace', 'note.txt', fault('not_found', /workspace/), { sessionless: true }),
    at('the old scheme of 0.4', `workspace://${call}.txt`, reads ? fault('not_found') : OK_EMPTY),
  ]);
}

const empty = (root: Want) => ({ empty: root, notUtf8: notText });

export const FS: readonly CallProfile[] = [
  {
    call: 'astrid_fs_exists',
    good: okText('true'),
    params: [{ valid: text('note.txt'), ...empty(okText('true')), edge: { arg: text(LONGEST), want: OK_EMPTY } }],
    cases: [
      ...casesOf('astrid_fs_exists', [
        { name: 'what is not there is empty', args: [text('absent')], want: OK_EMPTY },
        { name: 'below a file, not there', args: [text('note.txt/x')], want: OK_EMPTY },
        { name: 'cwd:// and a plain path are the same', args: [text('cwd://dir/inner.txt')], want: okText('true') },
        { name: 'the tmp directory', args: [text('/tmp')], want: okText('true') },
      ]),
      ...pathCases('astrid_fs_exists', true, []).filter(({ name }) => !name.startsWith('the old scheme')),
    ],
  },
  {
    call: 'astrid_fs_mkdir',
    good: OK_EMPTY,
    params: [
      {
        valid: text('made'),
        ...empty(fault('invalid_argument', /root/)),
        edge: { arg: text(longest('m')), want: OK_EMPTY },
      },
    ],
    cases: [
      ...casesOf('astrid_fs_mkdir', [
        { name: 'parents are made, too', args: [text('p/q/r')], want: OK_EMPTY },
        { name: 'what is there already is fine', args: [text('dir')], want: OK_EMPTY },
        { name: 'where a file is', args: [text('note.txt')], want: fault('already_exists') },
        { name: 'below a file', args: [text('note.txt/x')], want: fault('not_a_directory') },
      ]),
      ...pathCases('astrid_fs_mkdir', false, []),
    ],
  },
  {
    call: 'astrid_fs_readdir',
    good: okText('["inner.txt"]'),
    params: [
      {
        valid: text('dir'),
        ...empty(okJson('a list with note.txt', (value) => (value as string[]).includes('note.txt'))),
        edge: { arg: text(LONGEST), want: notFound },
      },
    ],
    cases: [
      ...casesOf('astrid_fs_readdir', [
        {
          name: 'both layers as one',
          steps: [step('astrid_write_file', text('full/of/more.txt'), text('x'))],
          args: [text('full/of')],
          want: okJson('both names', (value) => [...(value as string[])].sort().join() === 'more.txt,things.txt'),
        },
        { name: 'of what is not there', args: [text('absent')], want: notFound },
        { name: 'of a file', args: [text('note.txt')], want: fault('not_a_directory') },
      ]),
      ...pathCases('astrid_fs_readdir', true, []),
    ],
  },
  {
    call: 'astrid_fs_stat',
    good: okJson('size 11, isDir false, mtime', (value) => {
      const { size, isDir, mtime } = value as Record<string, unknown>;
      return size === 11 && isDir === false && Number.isInteger(mtime) && Number(mtime) > 1_500_000_000;
    }),
    params: [
      {
        valid: text('dir/../note.txt'),
        ...empty(okJson('isDir true', (value) => (value as { isDir: boolean }).isDir)),
        edge: { arg: text(LONGEST), want: notFound },
      },
    ],
    cases: [
      ...casesOf('astrid_fs_stat', [
        { name: 'of what is not there', args: [text('absent')], want: notFound },
        { name: 'below a file', args: [text('note.txt/x')], want: fault('not_a_directory') },
      ]),
      ...pathCases('astrid_fs_stat', true, []),
    ],
  },
  {
    call: 'astrid_fs_unlink',
    setup: [step('astrid_write_file', text('brief.txt'), text('x'))],
    good: OK_EMPTY,
    params: [
      { valid: text('brief.txt'), ...empty(fault('invalid_argument')), edge: { arg: text(LONGEST), want: notFound } },
    ],
    cases: [
      ...casesOf('astrid_fs_unlink', [
        { name: 'a file of the workspace that only the disk has', args: [text('gone.txt')], want: OK_EMPTY },
        {
          name: 'an empty directory',
          steps: [step('astrid_fs_mkdir', text('hollow'))],
          args: [text('hollow')],
          want: OK_EMPTY,
        },
        { name: 'a directory that is not empty', args: [text('full')], want: fault('not_empty') },
        { name: 'what is not there', args: [text('absent')], want: notFound },
      ]),
      ...pathCases('astrid_fs_unlink', true, []),
    ],
  },
  {
    call: 'astrid_read_file',
    good: okText('first line\n'),
    params: [
      {
        valid: text('cwd://note.txt'),
        ...empty(fault('is_a_directory')),
        edge: { arg: text(LONGEST), want: notFound },
      },
    ],
    cases: [
      ...casesOf('astrid_read_file', [
        { name: 'what is not there', args: [text('absent')], want: notFound },
        { name: 'a directory', args: [text('dir')], want: fault('is_a_directory') },
        { name: 'below a file', args: [text('note.txt/x')], want: fault('not_a_directory') },
        {
          name: 'what was just written',
          steps: [step('astrid_write_file', text('echo.txt'), text('again'))],
          args: [text('echo.txt')],
          want: okText('again'),
        },
        {
          name: 'a file of exactly 10 MiB',
          args: [text('at-limit.bin')],
          want: okWhere('10 MiB of zeros', (got) => got.length === 65_535 || got.length === 65_536),
          kind: 'limit',
        },
        { name: 'a file one byte larger', args: [text('past-limit.bin')], want: fault('too_large'), kind: 'limit' },
      ]),
      ...pathCases('astrid_read_file', true, []),
    ],
  },
  {
    call: 'astrid_write_file',
    good: OK_EMPTY,
    params: [
      {
        valid: text('made.txt'),
        ...empty(fault('is_a_directory')),
        edge: { arg: text(LONGEST_FILE), want: OK_EMPTY },
      },
      textParam(text('content'), OK_EMPTY, fill(LIMITS.payloadBytesMax), OK_EMPTY),
    ],
    cases: [
      ...casesOf('astrid_write_file', [
        { name: 'parents are made, too', args: [text('new/of/it.txt'), text('x')], want: OK_EMPTY },
        { name: 'over a directory', args: [text('dir'), text('x')], want: fault('is_a_directory') },
        { name: 'below a file', args: [text('note.txt/x'), text('x')], want: fault('not_a_directory') },
        {
          name: 'below home, where parents are not made',
          args: [text('home://granted/no/a.txt'), text('x')],
          want: notFound,
        },
        {
          name: 'below home',
          steps: [step('astrid_fs_mkdir', text('home://granted'))],
          args: [text('home://granted/a.txt'), text('x')],
          want: OK_EMPTY,
        },
        { name: 'below /tmp', args: [text('/tmp/a.txt'), text('x')], want: OK_EMPTY },
      ]),
      ...pathCases('astrid_write_file', false, [text('x')]),
    ],
  },
];
