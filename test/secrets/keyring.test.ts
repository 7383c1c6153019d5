import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { KeyringSecretStore } from '../../supervisor/secrets/secret-tool.js';
import { MAIL, OTHER } from './store-kit.js';

/** A program with the manners of libsecret's: values by stdin and stdout, silence for what is not there, 1 for both failures. */
function makeProgram(t: Test, broken = false): { path: string; dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'astrid-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'secret-tool');
  const script = `#!/bin/sh
echo "$@" >> "${dir}/arguments"
${broken ? 'echo "Cannot autolaunch D-Bus" >&2; exit 1' : ''}
verb=$1; shift
case "$1" in --label=*) shift;; esac
file="${dir}/item-$(echo "$*" | tr -c 'a-z0-9\\n' '-')"
case $verb in
  store) cat > "$file";;
  lookup) [ -f "$file" ] && cat "$file" || exit 1;;
  clear) ls "$file"* >/dev/null 2>&1 && rm "$file"* || exit 1;;
esac
`;
  writeFileSync(path, script);
  chmodSync(path, 0o700);
  return { path, dir };
}

test('keyring, what was set, is found by its names, and no value is on an argument list', async (t) => {
  const { path, dir } = makeProgram(t);
  const store = new KeyringSecretStore(path);
  t.equal(await store.has(MAIL, 'token'), false);
  const value = Buffer.from('canary value\n\0ÿ');
  await store.set(MAIL, 'token', value);
  t.same(await store.read(MAIL, 'token'), value);
  t.equal(await store.has(OTHER, 'token'), false);
  t.equal(await store.remove(MAIL, 'token'), true);
  t.equal(await store.remove(MAIL, 'token'), false);
  await store.set(MAIL, 'two', value);
  await store.removeAll(MAIL);
  t.equal(await store.has(MAIL, 'two'), false);
  const seen = readFileSync(join(dir, 'arguments'), 'latin1');
  t.notMatch(seen, /canary/);
  t.notMatch(seen, value.toString('base64'));
  t.same(readdirSync(dir).sort(), ['arguments', 'secret-tool']);
});

test('keyring, not installed or out of reach, is an error that says what to do and never an empty answer', async (t) => {
  const none = new KeyringSecretStore(null);
  await t.rejects(none.has(MAIL, 'k'), {
    code: 'not_supported',
    message: /not available.*libsecret-tools.*store = "file"/,
  });
  const broken = new KeyringSecretStore(makeProgram(t, true).path);
  await t.rejects(broken.has(MAIL, 'k'), { code: 'io_error', message: /not available/ });
  await t.rejects(broken.set(MAIL, 'k', Buffer.from('v')), { code: 'io_error' });
  await t.rejects(broken.removeAll(MAIL), { code: 'io_error' });
});
