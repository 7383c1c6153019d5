import { LIMITS } from '../../../abi/limits.js';
import {
  bytes,
  type CallProfile,
  casesOf,
  fault,
  fill,
  from,
  NOTHING,
  OK_ANY,
  OK_EMPTY,
  okText,
  okWhere,
  step,
  text,
  textParam,
  trap,
} from '../case.js';

const set = (key: string, value = 'v') => step('astrid_kv_set', text(key), text(value));
const noKey = fault('invalid_argument', /key/);
const key = textParam(text('key'), noKey, fill(LIMITS.keyBytesMax, 'k'), OK_EMPTY);
const notUtf8Prefix = trap('invalid_argument', /prefix is not valid UTF-8/);

export const KV: readonly CallProfile[] = [
  {
    call: 'astrid_kv_get',
    setup: [set('key', 'value')],
    good: okText('value'),
    params: [key],
    cases: casesOf('astrid_kv_get', [
      { name: 'an absent key is empty', args: [text('absent')], want: OK_EMPTY },
      {
        name: 'a value of no bytes is empty',
        steps: [step('astrid_kv_set', text('none'), NOTHING)],
        args: [text('none')],
        want: OK_EMPTY,
      },
      {
        name: 'a value that starts with a status byte comes back whole',
        steps: [step('astrid_kv_set', text('raw'), bytes(1, 0, 0, 0, 0, 0, 0, 0))],
        args: [text('raw')],
        want: okWhere('01 00 00 00 00 00 00 00', (got) => got.equals(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]))),
      },
      { name: 'a NUL in the key', args: [text('a\0b')], want: noKey, kind: 'hostile' },
      {
        name: 'the key of another capsule',
        before: [set('theirs', 'secret')],
        args: [text('theirs')],
        want: OK_EMPTY,
        kind: 'hostile',
      },
      {
        name: 'the key of another principal',
        steps: [],
        args: [text('key')],
        principal: 'somebody',
        want: OK_EMPTY,
        kind: 'hostile',
      },
      {
        name: 'a capsule without capabilities may read',
        args: [text('key')],
        role: 'bare',
        want: OK_EMPTY,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_kv_set',
    good: OK_EMPTY,
    params: [key, textParam(text('v'), OK_EMPTY, fill(LIMITS.payloadBytesMax), fault('too_large', /value/))],
    cases: casesOf('astrid_kv_set', [
      {
        name: 'a value of exactly 1 MiB',
        args: [text('big'), fill(LIMITS.kvValueBytesMax)],
        want: OK_EMPTY,
        kind: 'limit',
      },
      {
        name: 'a value one byte past 1 MiB',
        args: [text('big'), fill(LIMITS.kvValueBytesMax + 1)],
        want: fault('too_large', /value/),
        kind: 'limit',
      },
      { name: 'a NUL in the key', args: [text('a\0b'), text('v')], want: noKey, kind: 'hostile' },
      {
        name: 'a value under a key that was the result of another call',
        steps: [step('astrid_clock_ms')],
        args: [from(0), text('v')],
        want: OK_EMPTY,
      },
      {
        name: 'a capsule without capabilities may write',
        args: [text('mine'), text('v')],
        role: 'bare',
        want: OK_EMPTY,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_kv_delete',
    setup: [set('key')],
    good: OK_EMPTY,
    params: [key],
    cases: casesOf('astrid_kv_delete', [
      { name: 'what is not there', args: [text('absent')], want: OK_EMPTY },
      { name: 'a NUL in the key', args: [text('a\0b')], want: noKey, kind: 'hostile' },
      {
        name: 'a capsule without capabilities may delete',
        args: [text('mine')],
        role: 'bare',
        want: OK_EMPTY,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_kv_list_keys',
    setup: [set('list.b'), set('list.a')],
    good: okText('["list.a","list.b"]'),
    params: [
      {
        valid: text('list.'),
        empty: OK_ANY,
        notUtf8: notUtf8Prefix,
        edge: { arg: fill(LIMITS.keyBytesMax), want: okText('[]') },
      },
    ],
    cases: casesOf('astrid_kv_list_keys', [
      { name: 'nothing matches', args: [text('nobody.')], want: okText('[]') },
      { name: 'a NUL in the prefix', args: [text('a\0b')], want: fault('invalid_argument', /prefix/), kind: 'hostile' },
      {
        name: 'the keys of another capsule',
        before: [set('peer.x')],
        args: [text('peer.')],
        want: okText('[]'),
        kind: 'hostile',
      },
      {
        name: 'a capsule without capabilities may list',
        args: [text('nobody.')],
        role: 'bare',
        want: okText('[]'),
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_kv_clear_prefix',
    setup: [set('clear.b'), set('clear.a')],
    good: okText('2'),
    params: [
      {
        valid: text('clear.'),
        empty: OK_ANY,
        notUtf8: notUtf8Prefix,
        edge: { arg: fill(LIMITS.keyBytesMax, 'z'), want: okText('0') },
      },
    ],
    cases: casesOf('astrid_kv_clear_prefix', [
      { name: 'nothing matches', args: [text('nobody.')], want: okText('0') },
      { name: 'a NUL in the prefix', args: [text('a\0b')], want: fault('invalid_argument', /prefix/), kind: 'hostile' },
      {
        name: 'a capsule without capabilities may clear',
        args: [text('nobody.')],
        role: 'bare',
        want: okText('0'),
        kind: 'capability',
      },
    ]),
  },
];
