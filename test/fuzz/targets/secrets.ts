import fc from 'fast-check';
import { openSecrets, type SecretNamespace, sealSecrets } from '../../../supervisor/secrets/secret-codec.js';
import { answerOf, applyEdits, editsOf, type FuzzTarget, property } from '../target.js';

const anyBytes = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes));
const master = anyBytes(32, 32);
const name = fc.stringMatching(/^[a-z0-9-]{1,8}$/);
const space: fc.Arbitrary<SecretNamespace> = fc.record({ principal: name, capsule: name });
const key = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'a'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
);
const secrets = fc.array(fc.tuple(key, anyBytes(60)), { maxLength: 5 }).map((rows) => new Map(rows));

function isSame(found: ReadonlyMap<string, Uint8Array>, wanted: ReadonlyMap<string, Uint8Array>): boolean {
  return (
    found.size === wanted.size &&
    [...wanted].every(([one, value]) => Buffer.from(value).equals(found.get(one) ?? Buffer.of()))
  );
}

export const SECRETS: FuzzTarget = [
  property('what is sealed, is opened again', 600, fc.tuple(master, space, secrets), ([root, where, values]) =>
    isSame(openSecrets(root, where, sealSecrets(root, where, values)), values),
  ),
  property(
    'a file with bytes changed, does not open',
    1000,
    fc.tuple(master, space, secrets, editsOf(anyBytes(4), 8)),
    ([root, where, values, edits]) => {
      const sealed = sealSecrets(root, where, values);
      const changed = applyEdits(sealed, edits);
      return changed.equals(sealed) || answerOf(['io_error'], () => openSecrets(root, where, changed)) === null;
    },
  ),
  property(
    'a file of other names or another key, does not open',
    1000,
    fc.tuple(master, space, master, space),
    ([root, where, otherRoot, other]) => {
      const sealed = sealSecrets(root, where, new Map([['a', Buffer.from('b')]]));
      const opens = (by: Buffer, at: SecretNamespace) =>
        answerOf(['io_error'], () => openSecrets(by, at, sealed)) !== null;
      const isSamePlace = where.principal === other.principal && where.capsule === other.capsule;
      return opens(root, other) === isSamePlace && opens(otherRoot, where) === root.equals(otherRoot);
    },
  ),
  property(
    'any bytes, do not open',
    1000,
    fc.tuple(master, space, fc.boolean(), anyBytes(200)),
    ([root, where, isMarked, bytes]) => {
      const file = isMarked ? Buffer.concat([Buffer.from('ASTRIDS1'), bytes]) : bytes;
      return answerOf(['io_error'], () => openSecrets(root, where, file)) === null;
    },
  ),
];
