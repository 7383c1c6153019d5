import { createHash } from 'node:crypto';
import { hashes, sign as signNoble, verify as verifyNoble } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { test } from 'tap';
import { openCheckpoint, parseCheckpoint, signCheckpoint } from '../../abi/audit/checkpoint.js';
import { EMPTY_ROOT } from '../../abi/audit/merkle.js';
import { decodeBase64, formatNoteKey, makeNoteKey, parseNote, parseNoteKey } from '../../abi/audit/note.js';
import { createPortableVerifier, createSigner, createVerifier, generateKeyPair } from '../../abi/audit/signing.js';
import { fc } from '../kit/property.js';

hashes.sha512 = sha512;

const NAME = 'example.com/log';
/** RFC 8032 section 7.1, test 1. */
const SECRET = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
const PUBLIC = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');

const signer = createSigner(SECRET);
const key = makeNoteKey(NAME, PUBLIC);
const verify = createVerifier(PUBLIC);
const text = signCheckpoint(20852163, EMPTY_ROOT, key, signer);

test('the RFC 8032 test key signs as the RFC says', (t) => {
  t.ok(signer.publicKey.equals(PUBLIC));
  const signature = signer.sign(Buffer.alloc(0));
  t.equal(
    signature.toString('hex'),
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  );
  t.end();
});

test('native and noble agree on keys, signatures and refusals', async (t) => {
  const pair = await generateKeyPair();
  const other = await generateKeyPair();
  t.ok(createSigner(pair.secret).publicKey.equals(pair.public));
  const portable = createPortableVerifier(pair.public);
  const native = createVerifier(pair.public);
  for (const message of [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(1000, 7)]) {
    const signature = createSigner(pair.secret).sign(message);
    t.ok(signature.equals(Buffer.from(signNoble(message, pair.secret))), 'Ed25519 is deterministic');
    t.ok(verifyNoble(signature, message, pair.public, { zip215: false }));
    t.ok(native(message, signature) && (await portable(message, signature)));
    const wrong = Buffer.from(signature);
    wrong[5] = (wrong[5] ?? 0) ^ 1;
    t.notOk(native(message, wrong) || (await portable(message, wrong)));
    t.notOk(native(message, signature.subarray(1)) || (await portable(message, signature.subarray(1))));
    t.notOk(createVerifier(other.public)(message, signature));
  }
});

test('keys that are not 32 bytes are refused by name', (t) => {
  t.throws(() => createSigner(Buffer.alloc(31)), { code: 'invalid_argument', field: 'secret' });
  t.throws(() => createVerifier(Buffer.alloc(33)), { code: 'invalid_argument', field: 'publicKey' });
  t.throws(() => createPortableVerifier(Buffer.alloc(0)), { code: 'invalid_argument', field: 'publicKey' });
  t.end();
});

test('a checkpoint has the layout of C2SP, and its key id is the first 4 bytes of the named hash', (t) => {
  const lines = text.split('\n');
  t.strictSame(lines.slice(0, 4), [NAME, '20852163', '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=', '']);
  t.match(lines[4], /^— example\.com\/log [A-Za-z0-9+/]+=*$/);
  t.equal(lines.length, 6);
  t.equal(lines[5], '');
  const id = createHash('sha256').update(`${NAME}\n`).update(Buffer.of(1)).update(PUBLIC).digest().subarray(0, 4);
  t.ok(
    Buffer.from(lines[4]?.split(' ')[2] ?? '', 'base64')
      .subarray(0, 4)
      .equals(id),
  );
  t.end();
});

test('the example of the C2SP page parses', (t) => {
  const example =
    'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
    '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';
  const checkpoint = parseCheckpoint(example);
  t.equal(checkpoint.origin, 'example.com/behind-the-sofa');
  t.equal(checkpoint.size, 20852163);
  t.equal(checkpoint.note.signatures[0]?.keyId.toString('hex'), '033de0ae');
  t.end();
});

test('a checkpoint, signed and opened, is the same for any size and root', (t) => {
  const root = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), root, (size, hash) => {
      const opened = openCheckpoint(signCheckpoint(size, hash, key, signer), key, verify);
      return opened.size === size && opened.root.equals(hash) && opened.origin === NAME;
    }),
  );
  t.end();
});

test('a checkpoint with any one bit changed does not open', (t) => {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 1; bit < 256; bit *= 2) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ bit;
      try {
        openCheckpoint(changed.toString('utf8'), key, verify);
        t.fail(`byte ${at}, bit ${bit}`);
      } catch (thrown) {
        if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'bad_log')) t.fail(`byte ${at}`);
      }
    }
  }
  t.pass('all refused');
  t.end();
});

const body = `${NAME}\n5\n${EMPTY_ROOT.toString('base64')}\n`;
const line = text.slice(text.indexOf('—'));
const REFUSED: readonly [string, string, string][] = [
  ['no signature', body, 'text'],
  ['no empty line', body + line, 'text'],
  ['a leading zero in the size', `${NAME}\n05\n${EMPTY_ROOT.toString('base64')}\n\n${line}`, 'size'],
  ['a sign in the size', `${NAME}\n+5\n${EMPTY_ROOT.toString('base64')}\n\n${line}`, 'size'],
  ['a size beyond exact numbers', `${NAME}\n9007199254740993\n${EMPTY_ROOT.toString('base64')}\n\n${line}`, 'size'],
  ['no origin', `\n5\n${EMPTY_ROOT.toString('base64')}\n\n${line}`, 'origin'],
  ['a short root', `${NAME}\n5\nAAAA\n\n${line}`, 'root'],
  ['a root with stray bits', `${NAME}\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n\n${line}`, 'root'],
  ['an extension line', `${body}more\n\n${line}`, 'text'],
  ['a control character', `${NAME}\u0007\n5\n${EMPTY_ROOT.toString('base64')}\n\n${line}`, 'text'],
  ['a carriage return', body.replaceAll('\n', '\r\n') + line, 'text'],
  ['no newline at the end', `${body}\n${line.trimEnd()}`, 'text'],
  ['a signature of nothing', `${body}\n— ${NAME} AAAAAA==\n`, 'signature'],
  ['a signature line with a hyphen', `${body}\n- ${NAME} AAAAAAAA\n`, 'signature'],
  ['a signature line with three parts', `${body}\n— ${NAME} x AAAAAAAA\n`, 'signature'],
];

for (const [what, note, field] of REFUSED) {
  test(`a checkpoint with ${what} is refused, naming ${field}`, (t) => {
    t.throws(() => parseCheckpoint(note), { code: 'bad_log', field });
    t.end();
  });
}

test('lines of unknown witnesses are ignored, one that claims our key and is wrong refuses the whole', (t) => {
  const witness = `— witness.example ${Buffer.alloc(68, 9).toString('base64')}\n`;
  t.ok(openCheckpoint(text + witness, key, verify));
  const forged = `— ${NAME} ${Buffer.concat([key.id, Buffer.alloc(64)]).toString('base64')}\n`;
  t.throws(() => openCheckpoint(text + forged, key, verify), { code: 'bad_log', field: 'signature' });
  t.throws(() => openCheckpoint(`${body}\n${witness}`, key, verify), { code: 'bad_log', field: 'key' });
  t.end();
});

test('a checkpoint of another log, or by another key of the same name, is refused', async (t) => {
  const pair = await generateKeyPair();
  const otherKey = makeNoteKey(NAME, pair.public);
  const foreign = signCheckpoint(1, EMPTY_ROOT, otherKey, createSigner(pair.secret));
  t.throws(() => openCheckpoint(foreign, key, verify), { code: 'bad_log', field: 'key' });
  const renamed = makeNoteKey('example.com/other', PUBLIC);
  t.throws(() => openCheckpoint(signCheckpoint(1, EMPTY_ROOT, renamed, signer), key, verify), {
    field: 'origin',
    code: 'bad_log',
  });
});

test('a verifier key, written and read, is the same; a wrong id, type or name is refused', (t) => {
  const vkey = formatNoteKey(key);
  t.strictSame(parseNoteKey(`${vkey}\n`), key);
  t.strictSame(parseNoteKey(vkey), key);
  t.throws(() => parseNoteKey(vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')), { code: 'bad_log', field: 'id' });
  t.throws(() => parseNoteKey('no key'), { code: 'bad_log', field: 'key' });
  const typed = Buffer.concat([Buffer.of(4), PUBLIC]).toString('base64');
  t.throws(() => parseNoteKey(`${NAME}+${key.id.toString('hex')}+${typed}`), { code: 'bad_log', field: 'publicKey' });
  for (const name of ['', 'a b', 'a+b', 'a\nb', 'a\u00a0b', 'a\u2028b']) {
    t.throws(() => makeNoteKey(name, PUBLIC), { code: 'bad_log', field: 'name' });
  }
  t.end();
});

test('a note of many lines is split at its last empty line', (t) => {
  const note = parseNote(`one\n\ntwo\n\n— a.example ${Buffer.alloc(68).toString('base64')}\n`);
  t.equal(note.text, 'one\n\ntwo\n');
  t.throws(() => parseNote(`${'x'.repeat(70_000)}\n\n${line}`), { code: 'bad_log', field: 'length' });
  t.throws(() => parseNote(`x\n\n${line.repeat(65)}`), { code: 'bad_log', field: 'signatures' });
  t.equal(decodeBase64('AA='), null);
  t.end();
});
