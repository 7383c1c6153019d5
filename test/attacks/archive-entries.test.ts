import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { openPackage } from '../../cli/capsule/package.js';
import { paxRecord, type RawEntry, TAR_END, tarEntry, tarOf, tgzOf } from '../kit/tar-bytes.js';

const MANIFEST: RawEntry = {
  name: 'Capsule.toml',
  body: '[package]\nname = "demo"\nversion = "1.0.0"\n[[component]]\nfile = "demo.wasm"\n',
};
const MODULE: RawEntry = { name: 'demo.wasm', body: 'module' };
const GOOD = [MANIFEST, MODULE];

async function ruleOf(packed: Buffer): Promise<string> {
  try {
    await openPackage(packed);
  } catch (thrown) {
    const { code, field } = asFault(thrown);
    return code === 'bad_archive' ? (field ?? '?') : code;
  }
  return 'accepted';
}

test('an archive, manifest and module at the top or in one directory, is opened', async (t) => {
  t.equal((await openPackage(tgzOf(GOOD))).wasm?.toString(), 'module');
  const inside = GOOD.map((entry) => ({ ...entry, name: `package/${String(entry.name)}` }));
  t.equal((await openPackage(tgzOf(inside))).wasm?.toString(), 'module');
  const dotted = GOOD.map((entry) => ({ ...entry, name: `./${String(entry.name)}` }));
  t.equal((await openPackage(tgzOf([{ name: './', type: '5' }, ...dotted]))).wasm?.toString(), 'module');
  t.equal(await ruleOf(tgzOf([{ ...MODULE, magic: 'ustar  \0' }, MANIFEST])), 'accepted', 'a GNU header');
});

const LONG = 'x'.repeat(200);
const ENTRIES: readonly (readonly [string, string, readonly RawEntry[]])[] = [
  ['an absolute path', 'absolute_path', [{ name: '/etc/passwd' }]],
  ['a drive', 'absolute_path', [{ name: 'C:evil' }]],
  ['a path with two dots', 'parent_path', [{ name: '../x' }]],
  ['two dots inside', 'parent_path', [{ name: 'a/../../x' }]],
  ['two dots out of the prefix', 'parent_path', [{ name: 'x', prefix: 'a/..' }]],
  ['a dot inside', 'name', [{ name: 'a/./x' }]],
  ['an empty segment', 'name', [{ name: 'a//x' }]],
  ['an empty name', 'name', [{ name: '' }]],
  ['a file that ends like a directory', 'name', [{ name: 'a/' }]],
  ['a symbolic link', 'link', [{ name: 'a', type: '2', link: '/etc/passwd' }]],
  ['a hard link', 'link', [{ name: 'a', type: '1', link: 'demo.wasm' }]],
  ['a hard link called like the module', 'link', [{ name: 'demo.wasm', type: '1', link: '../../x' }]],
  ['a character device', 'device', [{ name: 'a', type: '3' }]],
  ['a block device', 'device', [{ name: 'a', type: '4' }]],
  ['a fifo', 'fifo', [{ name: 'a', type: '6' }]],
  ['a contiguous file', 'type', [{ name: 'a', type: '7' }]],
  ['a sparse file', 'type', [{ name: 'a', type: 'S' }]],
  ['the manifest twice', 'duplicate', [MANIFEST]],
  [
    'a directory twice',
    'duplicate',
    [
      { name: 'a/', type: '5' },
      { name: 'a', type: '5' },
    ],
  ],
  ['a file that is a directory too', 'duplicate', [{ name: 'a' }, { name: 'a/b' }]],
  ['the module with a dot before it', 'duplicate', [{ name: './demo.wasm' }]],
  ['names that differ in case', 'case_clash', [{ name: 'DEMO.wasm' }]],
  ['directories that differ in case', 'case_clash', [{ name: 'a/x' }, { name: 'A/y' }]],
  ['the same letters composed and not', 'unicode_clash', [{ name: '\u00e9' }, { name: 'e\u0301' }]],
  ['wide and narrow letters', 'unicode_clash', [{ name: 'demo\uff0ewasm' }]],
  ['the sharp s and two', 'case_clash', [{ name: 'stra\u00dfe' }, { name: 'STRASSE' }]],
  ['a backslash', 'backslash', [{ name: 'a\\..\\b' }]],
  ['a newline', 'control_character', [{ name: 'a\nb' }]],
  ['an escape', 'control_character', [{ name: '\x1b[2Kb' }]],
  ['a second name behind a NUL', 'control_character', [{ name: 'a\0../x' }]],
  ['bytes that are no UTF-8', 'name', [{ name: Buffer.from([0x61, 0xff]) }]],
  ['a name longer than accepted', 'name', [{ name: 'a'.repeat(100), prefix: LONG.slice(0, 155) }]],
  [
    'a second path in a pax header',
    'long_name',
    [{ name: 'p', type: 'x', body: paxRecord('path', '../evil') }, { name: 'a' }],
  ],
  [
    'a second size in a pax header',
    'long_name',
    [{ name: 'p', type: 'x', body: paxRecord('size', '1') }, { name: 'a' }],
  ],
  ['a path for all in a global header', 'long_name', [{ name: 'p', type: 'g', body: paxRecord('path', 'x') }]],
  [
    'a sparse file by pax',
    'long_name',
    [{ name: 'p', type: 'x', body: paxRecord('GNU.sparse.name', 'x') }, { name: 'a' }],
  ],
  ['a pax header without end', 'header', [{ name: 'p', type: 'x', body: '99 path=x\n' }]],
  ['a GNU long name', 'long_name', [{ name: '././@LongLink', type: 'L', body: `${LONG}\0` }, { name: 'a' }]],
  ['a GNU long link', 'long_name', [{ name: '././@LongLink', type: 'K', body: `${LONG}\0` }, { name: 'a' }]],
  ['a prefix in a GNU header', 'header', [{ name: 'a', prefix: 'b', magic: 'ustar  \0' }]],
  ['a header without a magic', 'header', [{ name: 'a', magic: '' }]],
  ['a size in base 256', 'header', [{ name: 'a', size: '\x80\0\0\0\0\0\0\0\0\0\0\x01' }]],
  ['a negative size', 'header', [{ name: 'a', size: '-0000000001\0' }]],
  ['a checksum that is wrong', 'header', [{ name: 'a', badChecksum: true }]],
  ['a size past the end', 'truncated', [{ name: 'a', size: '00077777777\0' }]],
  ['a directory with a body', 'header', [{ name: 'a/', type: '5', body: 'x' }]],
];

for (const [what, rule, entries] of ENTRIES) {
  test(`an archive, ${what}, is refused as ${rule}`, async (t) => {
    t.equal(await ruleOf(tgzOf([...GOOD, ...entries])), `archive.${rule}`);
    if (rule === 'truncated') return;
    t.not(await ruleOf(tgzOf([...entries, ...GOOD])), 'accepted', 'also when it comes first');
  });
}

test('an archive, harmless pax headers of git and tar, are stepped over', async (t) => {
  const pax = { name: 'pax_global_header', type: 'g', body: paxRecord('comment', 'a'.repeat(40)) };
  const time = { name: 'PaxHeader', type: 'x', body: paxRecord('mtime', '1.5') };
  t.equal(await ruleOf(tgzOf([pax, time, ...GOOD])), 'accepted');
});

test('an archive, as many entries as are accepted and one more', async (t) => {
  const fill = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `f${index}` }));
  t.equal(await ruleOf(tgzOf([...GOOD, ...fill(LIMITS.archiveEntriesMax - 2)])), 'accepted');
  t.equal(await ruleOf(tgzOf([...GOOD, ...fill(LIMITS.archiveEntriesMax - 1)])), 'archive.too_many');
});

test('an archive, without a manifest or with it in one of two directories, is refused', async (t) => {
  t.equal(await ruleOf(tgzOf([MODULE])), 'archive.no_manifest');
  t.equal(await ruleOf(tgzOf([])), 'archive.no_manifest');
  t.equal(await ruleOf(tgzOf([{ ...MANIFEST, name: 'a/Capsule.toml' }, { name: 'b/x' }])), 'archive.no_manifest');
});

test('an archive, a manifest that names no file in it or one outside, is refused', async (t) => {
  t.equal(await ruleOf(tgzOf([MANIFEST])), 'not_found');
  const outside = { ...MANIFEST, body: '[package]\nname = "demo"\n[[component]]\nfile = "../demo.wasm"\n' };
  t.equal(await ruleOf(tgzOf([outside, MODULE])), 'bad_manifest');
});

test('an archive, cut at any block or byte, is refused', async (t) => {
  const whole = tarOf(GOOD);
  for (let end = 0; end < whole.length; end += 128) {
    t.match(
      await ruleOf(gzipSync(whole.subarray(0, end))),
      /archive\.(truncated|no_manifest|trailing)/,
      `${end} bytes`,
    );
  }
  const packed = tgzOf(GOOD);
  for (let end = 0; end < packed.length; end++) {
    const rule = await ruleOf(packed.subarray(0, end));
    if (!/archive\.(truncated|gzip)/.test(rule)) t.fail(`cut at ${end}: ${rule}`);
  }
});

test('an archive, garbage behind the tar, is refused', async (t) => {
  t.equal(await ruleOf(gzipSync(Buffer.concat([tarOf(GOOD), Buffer.from('x')]))), 'archive.trailing');
  const second = Buffer.concat([tarOf(GOOD), tarEntry({ name: 'hidden' }), TAR_END]);
  t.equal(await ruleOf(gzipSync(second)), 'archive.trailing');
  t.equal(await ruleOf(gzipSync(Buffer.concat([tarOf(GOOD), Buffer.alloc(8192)]))), 'accepted', 'a padded record');
});
