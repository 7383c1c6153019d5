import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import type { Tier } from '../../abi/manifest.js';
import type { HostTools } from '../../supervisor/proc/host-tools.js';
import { JAIL_AFTER_BINDS, JAIL_RULES, jailArguments, RLIMITS } from '../../supervisor/proc/sandbox-profile.js';
import { spawnWorker } from '../../supervisor/proc/spawn.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { hostTools, jailMissing } from '../kit/worker-bench.js';

type Report = Readonly<Record<string, { readonly got?: string; readonly refused?: string }>>;

const ATTACKER = join(PACKAGE_ROOT, 'test/fixtures/attacker/attacker.mjs');

function listen(server: Server, where: string | number): Promise<void> {
  return new Promise((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve);
    else server.listen(where, '127.0.0.1', resolve);
  });
}

/** Runs the attacker in place of the worker; it is told where the secret, the sockets and the parent are. */
async function attack(tier: Tier): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-attack-'));
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'the secret');
  const socketPath = join(directory, 's.sock');
  const local = createServer((socket) => socket.destroy());
  const network = createServer((socket) => socket.destroy());
  await Promise.all([listen(local, socketPath), listen(network, 0)]);
  const address = network.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const worker = spawnWorker(tier, { tools: await hostTools, workerBundle: ATTACKER });
  try {
    worker.channel.output.write(JSON.stringify({ secret, socketPath, port, parentPid: process.pid }));
    const chunks: Buffer[] = [];
    for await (const chunk of worker.channel.input) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Report;
  } finally {
    worker.kill('SIGKILL');
    await worker.exited;
    local.close();
    network.close();
    rmSync(directory, { recursive: true });
  }
}

test('native code in the jail finds no file, no network, no process and no environment', {
  skip: await jailMissing(),
}, async (t) => {
  const report = await attack('jail');
  const mustFail = [
    'readSecret',
    'readPasswd',
    'listHome',
    'writeTmp',
    'writeRoot',
    'writeBundle',
    'readParentEnviron',
    'readParentMemory',
    'signalParent',
    'spawnChild',
    'socket',
    'network',
    'openFiles',
  ];
  for (const what of mustFail) t.type(report[what]?.refused, 'string', `${what}: ${JSON.stringify(report[what])}`);
  t.equal(report['environment']?.got?.replace(/\bPWD\b/, '').trim(), '', 'no environment');
  t.equal(report['descriptors']?.got, '', 'no descriptor but its own');
});

test('native code in tier process reads no file, starts nothing and sees no environment', async (t) => {
  const report = await attack('process');
  const mustFail = [
    'readSecret',
    'readPasswd',
    'listHome',
    'writeTmp',
    'writeRoot',
    'writeBundle',
    'readParentEnviron',
    'readParentMemory',
    'spawnChild',
    'startThread',
    'openFiles',
  ];
  for (const what of mustFail) t.type(report[what]?.refused, 'string', `${what}: ${JSON.stringify(report[what])}`);
  t.equal(report['environment']?.got, '', 'no environment');
  t.equal(report['descriptors']?.got, '', 'no descriptor but its own');
});

test('a worker whose tier lacks a program is not started without it', async (t) => {
  const tools = await hostTools;
  const program = (missing: keyof HostTools) => ({ tools: { ...tools, [missing]: null }, workerBundle: ATTACKER });
  for (const missing of ['prlimit', 'setpriv', 'env'] as const) {
    const message = new RegExp(`${missing}.*apt-get install`);
    t.throws(() => spawnWorker('process', program(missing)), { code: 'tier_unavailable', message });
  }
  for (const missing of ['prlimit', 'bwrap'] as const)
    t.throws(() => spawnWorker('jail', program(missing)), { code: 'tier_unavailable' });
  t.end();
});

test('every rule of the jail is in its arguments, with a reason', (t) => {
  const args = jailArguments({ node: '/node', libraries: ['/lib/a'], workerBundle: '/bundle' });
  for (const rule of [...JAIL_RULES, ...JAIL_AFTER_BINDS]) {
    t.ok(args.join(' ').includes(rule.args.join(' ')), rule.args.join(' '));
    t.ok(rule.why.length > 10);
  }
  t.ok(args.indexOf('--remount-ro') > args.lastIndexOf('--ro-bind'), 'the root is made read-only after the binds');
  t.notOk(args.includes('--proc') || args.includes('--dev') || args.includes('--bind'), 'nothing else is let in');
  t.ok(RLIMITS.some(({ name, value }) => name === 'core' && value === 0));
  t.end();
});
