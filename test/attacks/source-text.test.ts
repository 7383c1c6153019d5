import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { gitFetchArguments } from '../../cli/capsule/git-source.js';
import { npmArguments } from '../../cli/capsule/npm-source.js';
import { parseSource } from '../../cli/capsule/source.js';

const options = { cwd: '/src', insecureLocal: false };

function read(text: string): string {
  try {
    return parseSource(text, options).text;
  } catch (thrown) {
    const { code, field } = asFault(thrown);
    return `${code} ${field}`;
  }
}

const REFUSED = 'invalid_argument source';

test('a source, each kind, has one spelling that means the same when it is read again', async (t) => {
  const spellings = [
    ['./demo', 'path:/src/demo'],
    ['demo.capsule', 'path:/src/demo.capsule'],
    ['path:/a/../b', 'path:/b'],
    ['https://example.org/a.capsule#x', 'https://example.org/a.capsule'],
    ['npm:demo', 'npm:demo'],
    ['npm:@scope/demo@^1.0', 'npm:@scope/demo@^1.0'],
    ['npm:demo@>=1 <2', 'npm:demo@>=1 <2'],
    ['npm:demo@next', 'npm:demo@next'],
    ['git+https://example.org/a/b.git#v1.0', 'git+https://example.org/a/b.git#v1.0'],
    ['git+ssh://git@example.org/a/b.git', 'git+ssh://git@example.org/a/b.git#HEAD'],
    ['git+file:///srv/a.git#main', 'git+file:///srv/a.git#main'],
  ] as const;
  for (const [text, expected] of spellings) {
    t.equal(read(text), expected);
    t.equal(read(expected), expected);
  }
});

test('an npm name, anything that npm would take for something else, is refused', async (t) => {
  const names = [
    '--registry=http://evil.example',
    '-g',
    'demo@git+ssh://evil.example/x',
    'demo@github:evil/x',
    'demo@npm:other',
    'demo@file:../x',
    'demo@../x',
    'demo@http://evil.example/x.tgz',
    'demo@$(id)',
    'demo@1.0.0;id',
    'demo@--ignore-scripts=false',
    '../demo',
    '/demo',
    'a/b',
    '@a/b/c',
    '@/b',
    'Demo',
    '.demo',
    '',
    ' demo',
    'demo\u0000',
    'demo\n--x',
    'x'.repeat(215),
  ];
  for (const name of names) t.equal(read(`npm:${name}`), REFUSED, JSON.stringify(name));
});

test('npm, whatever it is asked for, gets it as one argument behind --, and never runs a script', async (t) => {
  const args = npmArguments({ name: '--evil', range: '--worse' }, '/tmp/x');
  t.equal(args.indexOf('--'), args.length - 2);
  t.equal(args.at(-1), '--evil@--worse');
  t.ok(args.indexOf('--ignore-scripts') > 0 && args.indexOf('--ignore-scripts') < args.indexOf('--'));
});

test('a git address, options, other protocols, commands and hidden credentials, are refused', async (t) => {
  const addresses = [
    '--upload-pack=touch /tmp/x',
    'ext::sh -c id',
    'https://--upload-pack=id/x',
    'ssh://-oProxyCommand=id/x',
    'ssh://-oProxyCommand=id@host/x',
    'ssh://git:secret@host/x',
    'https://user:secret@host/x',
    'https://token@host/x',
    'http://host/x',
    'git://host/x',
    'ftp://host/x',
    'file://host/x',
    'https://host/x?y=1',
    'https://host/x y',
    'https://host/$(id)',
    'https://host/a;id',
    'ssh://host/a`id`',
    '/plain/path',
    '',
  ];
  for (const address of addresses) t.equal(read(`git+${address}`), REFUSED, address);
  const refs = [
    '--upload-pack=id',
    '-x',
    'a:b',
    '+a',
    'a..b',
    'a~1',
    'a^',
    'a b',
    '@{-1}',
    'a//b',
    'x.lock',
    'a%20b',
    `${'a'.repeat(201)}`,
  ];
  for (const ref of refs) t.equal(read(`git+https://host/x#${ref}`), REFUSED, ref);
});

test('git, address and ref, stand behind --, and only the protocol that was named is allowed', async (t) => {
  const args = gitFetchArguments({ url: '--upload-pack=id', protocol: 'https', ref: '--exec=id' });
  t.same(args.slice(args.indexOf('--')), ['--', '--upload-pack=id', '--exec=id']);
  t.ok(args.includes('protocol.allow=never'));
  t.ok(args.includes('protocol.https.allow=always'));
  t.ok(args.includes('core.hooksPath=/dev/null'));
});

test('an address, plain http, credentials or another scheme, is refused, and no message holds the password', async (t) => {
  for (const text of [
    'http://example.org/x',
    'http://127.0.0.1/x',
    'https://a:b@example.org/x',
    'ftp://example.org/x',
    'data://x',
  ]) {
    t.equal(read(text), REFUSED, text);
  }
  try {
    parseSource('https://user:hunter2@example.org/x', options);
  } catch (thrown) {
    t.notMatch(asFault(thrown).message, /hunter2/);
  }
  const local = { ...options, insecureLocal: true };
  t.equal(parseSource('http://127.0.0.1:8080/x', local).kind, 'url');
  t.equal(parseSource('http://[::1]:8080/x', local).kind, 'url');
  for (const host of ['example.org', '127.0.0.1.example.org', '10.0.0.1', 'localhost.example.org', '0.0.0.0']) {
    t.throws(() => parseSource(`http://${host}/x`, local), { code: 'invalid_argument' }, host);
  }
});

test('a source, control characters or no end, is refused', async (t) => {
  for (const text of ['', 'a\nb', 'a\u001b[2K', `/${'a'.repeat(1024)}`]) t.equal(read(text), REFUSED);
});
