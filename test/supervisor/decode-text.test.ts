import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { makeKvHandlers } from '../../supervisor/syscalls/kv.js';

const nothing = {} as never;
const { astrid_kv_get: get } = makeKvHandlers(nothing);

test('a key that begins with a byte order mark is another key than the one without it', (t) => {
  t.same(get.decode([Buffer.from('\ufeffkey')]), { key: '\ufeffkey' });
  t.same(get.decode([Buffer.from('key')]), { key: 'key' });
  t.end();
});

test('a key that is not UTF-8 is refused by its name, whatever part of it is wrong', (t) => {
  for (const bytes of [[0xff], [0x6b, 0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    t.throws(
      () => get.decode([Buffer.from(bytes)]),
      new Fault('invalid_argument', 'key is not valid UTF-8', { field: 'key' }),
    );
  }
  t.end();
});
