import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { openSecrets, sealSecrets } from '../../supervisor/secrets/secret-codec.js';
import { fc } from '../kit/property.js';

const KEY = randomBytes(32);
const SPACE = { principal: 'default', capsule: 'mail' };
const secrets = fc
  .dictionary(fc.string({ minLength: 1 }), fc.uint8Array({ maxLength: 200 }), { maxKeys: 8 })
  .map((all) => new Map(Object.entries(all).map(([key, value]) => [key, Buffer.from(value)])));

test('secret file, any secrets, come back as they were, and are not in the file', (t) => {
  fc.assert(
    fc.property(secrets, (all) => {
      const file = sealSecrets(KEY, SPACE, all);
      const back = openSecrets(KEY, SPACE, file);
      if (back.size !== all.size) return false;
      return [...all].every(
        ([key, value]) => back.get(key)?.equals(value) && (value.length < 6 || !file.includes(value)),
      );
    }),
    { numRuns: 100 },
  );
  t.end();
});

test('secret file, any bit flipped, any byte missing or added, does not open', (t) => {
  fc.assert(
    fc.property(
      secrets,
      fc.nat(),
      fc.integer({ min: 0, max: 7 }),
      fc.constantFrom('flip', 'cut', 'grow'),
      (all, at, bit, how) => {
        const file = sealSecrets(KEY, SPACE, all);
        const place = at % file.length;
        const changed = Buffer.from(file);
        changed[place] = changed[place]! ^ (1 << bit);
        const damaged = { flip: changed, cut: file.subarray(0, place), grow: Buffer.concat([file, randomBytes(1)]) }[
          how
        ];
        try {
          openSecrets(KEY, SPACE, damaged);
          return false;
        } catch (error) {
          return asFault(error).code === 'io_error';
        }
      },
    ),
    { numRuns: 200 },
  );
  t.end();
});

test('secret file, under another name or with another key, does not open', (t) => {
  const file = sealSecrets(KEY, SPACE, new Map([['k', Buffer.from('v')]]));
  const spaces = [
    { principal: 'default', capsule: 'mai' },
    { principal: 'other', capsule: 'mail' },
    { principal: 'default\0mail', capsule: '' },
  ];
  for (const space of spaces) t.throws(() => openSecrets(KEY, space, file), { code: 'io_error' });
  t.throws(() => openSecrets(randomBytes(32), SPACE, file), { code: 'io_error' });
  t.notOk(sealSecrets(KEY, SPACE, new Map()).equals(sealSecrets(KEY, SPACE, new Map())), 'a fresh nonce each time');
  t.end();
});
