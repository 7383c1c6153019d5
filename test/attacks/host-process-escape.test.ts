import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { changesOf, makeBench } from '../host-process/kit.js';
import { jailMissing } from '../kit/worker-bench.js';

const skip = await jailMissing();

test('shell operators in arguments, given to a command, are plain text', { skip }, async (t) => {
  const bench = await makeBench(t);
  const words = ['; touch x', '&& touch x', '| touch x', '$(touch x)', '`touch x`', '> x', '\' " \\ \n', '--', '*'];
  t.same((await bench.run('printf', '%s|', ...words)).stdout, words.map((word) => `${word}|`).join(''));
  t.same(await changesOf(bench), {});
});

test('a command that climbs or follows a link out of the workspace finds nothing of the host', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  writeFileSync(join(bench.workspace, '../secret'), 'SECRET');
  symlinkSync(join(bench.workspace, '../secret'), join(bench.workspace, 'link'));
  for (const path of [
    '../secret',
    'link',
    '../../../../../../etc/shadow',
    '/etc/shadow',
    '/root',
    '/home',
    '/run',
    '/var',
    '/sys',
    '/boot',
  ])
    t.not((await bench.run('ls', '-d', path === 'link' ? 'link/' : path)).exitCode, 0, path);
  t.not((await bench.run('cat', 'link')).exitCode, 0, 'link');
  await bench.sh('echo x > ../escaped; echo x > link; echo x > ../secret');
  t.notOk(readdirSync(join(bench.workspace, '..')).includes('escaped'));
  t.equal(readFileSync(join(bench.workspace, '../secret'), 'utf8'), 'SECRET');
});

test('the home of the system, its token, socket and other overlays are nowhere in the sandbox', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  mkdirSync(join(bench.home, 'run'), { recursive: true });
  writeFileSync(join(bench.home, 'run/system.token'), 'TOKEN-IN-PLAIN');
  const { stdout } = await bench.sh(
    `ls -la ${bench.home} 2>&1; cat ${bench.home}/run/system.token 2>&1; ls /proc/*/root/ /proc/*/cwd 2>&1; cat /proc/[0-9]*/environ; cat /proc/self/mountinfo; tr '\\0' ' ' < /proc/1/cmdline; find / -name system.token 2>/dev/null; ls ..`,
  );
  t.notMatch(stdout, /TOKEN-IN-PLAIN/);
  t.notMatch(stdout, /var\/overlay/, 'not even where the overlays are');
  t.equal((await bench.sh('ls ..')).stdout, 'work\n', 'only the way to the workspace');
});

test('a workspace that holds the home of the system is refused to commands', { skip }, async (t) => {
  const bench = await makeBench(t);
  const above = await makeBench(
    t,
    {},
    { home: join(bench.workspace, '.astrid'), openPlace: (actor) => bench.files.openCommandPlace(actor) },
  );
  t.equal(await above.fate('true'), 'not_supported');
  const own = await makeBench(t, {}, { home: '/usr/lib/astrid' });
  t.equal(await own.fate('true'), 'not_supported', 'a home among the programs');
  await t.rejects(own.start('true'), { code: 'not_supported' });
});

test('a command without the grant reaches no network, no abstract socket and no socket of the host', {
  skip,
}, async (t) => {
  const bench = await makeBench(t);
  // One name space for the whole machine.
  const name = `astrid-attack-${process.pid}`;
  const tcp = createServer().listen(0, '127.0.0.1');
  const abstract = createServer().listen(`\0${name}`);
  await Promise.all([once(tcp, 'listening'), once(abstract, 'listening')]);
  t.teardown(() => Promise.all([tcp, abstract].map((server) => new Promise((resolve) => server.close(resolve)))));
  const { port } = tcp.address() as { port: number };
  const script = `
import socket, sys
def tries(family, address):
    s = socket.socket(family)
    s.settimeout(3)
    try:
        s.connect(address); print("CONNECTED", address)
    except OSError as e: print("refused", e.errno)
tries(socket.AF_INET, ("127.0.0.1", ${port}))
tries(socket.AF_UNIX, "\\0${name}")
`;
  const python = (await bench.fate('python3', '--version')) === 0;
  if (!python) return t.pass('no python here to try with');
  const { stdout } = await bench.run('python3', '-c', script);
  t.match(stdout, /refused \d+\nrefused \d+/);
  const granted = await makeBench(t, {}, { network: ['tool'] });
  t.match((await granted.run('python3', '-c', script)).stdout, /CONNECTED/, 'the grant makes the difference');
});

test('a command inherits no environment and no descriptor but its three', { skip }, async (t) => {
  process.env['ASTRID_ATTACK_SECRET'] = 'SECRET';
  t.teardown(() => delete process.env['ASTRID_ATTACK_SECRET']);
  const bench = await makeBench(t, { a: '1' });
  // What the state database does: a file without close-on-exec.
  const leaky = join(bench.workspace, '../state.db');
  writeFileSync(leaky, 'DATABASE');
  const { makeLeak } = await import('../host-process/leak.js');
  const leak = makeLeak(leaky);
  t.teardown(() => leak.close());
  const { stdout } = await bench.sh('env; for f in /proc/self/fd/*; do readlink $f; done; cat <&9 2>/dev/null; true');
  const names = stdout
    .split('\n')
    .filter((line) => line.includes('='))
    .map((line) => line.split('=')[0]);
  t.same(names.sort(), ['HOME', 'LANG', 'OLDPWD', 'PATH', 'PWD', 'TERM'].filter((name) => names.includes(name)).sort());
  t.notMatch(stdout, /SECRET|state\.db|DATABASE|var\/overlay|system\.sock/);
});

test('a program that somebody put into the workspace is not what a name runs', { skip }, async (t) => {
  const bench = await makeBench(t, { true: '#!/bin/sh\necho OWNED\n', 'bin/true': '#!/bin/sh\necho OWNED\n' });
  await bench.sh('chmod +x true bin/true');
  t.equal((await bench.run('true')).stdout, '');
});

test('a command cannot mount, make namespaces, devices or whiteouts', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  t.not(await bench.fate('unshare', '-Ur', 'true'), 0);
  t.not(await bench.fate('mount', '-t', 'tmpfs', 'x', '/tmp'), 0);
  t.not(await bench.fate('mknod', 'w', 'c', '0', '0'), 0);
  t.not(await bench.fate('mknod', 'w', 'b', '254', '0'), 0);
  t.not((await bench.sh('echo x > /usr/bin/x')).exitCode, 0);
  t.not((await bench.run('chmod', '666', '/dev/null')).exitCode, 0, "the machine's own device nodes");
  t.not((await bench.sh('v=$(cat /proc/sys/kernel/pid_max); echo $v > /proc/sys/kernel/pid_max')).exitCode, 0);
  t.not((await bench.sh('v=$(cat /proc/sys/vm/swappiness); echo $v > /proc/sys/vm/swappiness')).exitCode, 0);
  t.equal((await bench.sh('echo x > /dev/null && head -c 1 /dev/zero | wc -c')).stdout.trim(), '1', 'they still work');
  t.not((await bench.sh('echo x > /x; echo x > /etc/x; echo x > /dev/x')).exitCode, 0);
  t.same(await changesOf(bench), {});
});
