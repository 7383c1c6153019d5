import { chmod } from 'node:fs/promises';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { type CheckRow, examineMachine, type Machine } from '../../cli/doctor-checks.js';
import { makeHome } from '../kit/fake-supervisor.js';
import { runCli } from '../kit/run-cli.js';

const FILES: Readonly<Record<string, string>> = {
  '/sys/fs/cgroup/cgroup.controllers': 'cpu memory pids\n',
  '/proc/self/cgroup': '0::/user.slice/astrid\n',
  '/proc/filesystems': 'nodev\tsysfs\nnodev\toverlay\n',
};

/** A machine that has everything. */
function machine(over: Partial<Machine> = {}, files: Readonly<Record<string, string | null>> = {}): Machine {
  return {
    platform: 'linux',
    nodeVersion: 'v20.19.0',
    homePath: '/home/u/.astrid',
    readText: async (path) => ({ ...FILES, ...files })[path] ?? null,
    run: async (file) => ({ code: 0, line: `${file} 1.0` }),
    canWrite: async () => true,
    freeBytes: async () => 2 ** 40,
    homeFault: async () => null,
    supervisor: async () => 'not running',
    ...over,
  };
}

async function rowOf(check: string, one: Machine): Promise<CheckRow | undefined> {
  return (await examineMachine(one)).find((row) => row.check === check);
}

test('doctor, a machine with everything, finds nothing to do', async (t) => {
  const rows = await examineMachine(machine());
  t.same(
    rows.map((row) => row.state),
    rows.map(() => 'ok'),
  );
  t.same(
    rows.map((row) => row.advice),
    rows.map(() => ''),
  );
});

test('doctor, the version of Node, is compared with the floor by number', async (t) => {
  const states = ['v18.20.0', 'v20.9.0', 'v20.18.3', 'v20.19.0', 'v22.0.0', 'v100.1.0'].map(
    async (nodeVersion) => (await rowOf('node', machine({ nodeVersion })))?.state,
  );
  t.same(await Promise.all(states), ['missing', 'missing', 'missing', 'ok', 'ok', 'ok']);
});

test('doctor, no bubblewrap, says what to install and what still works', async (t) => {
  const bare = machine({ run: async (file) => (file === 'bwrap' ? null : { code: 0, line: '' }) });
  t.match(await rowOf('bubblewrap', bare), { state: 'missing', advice: /install the package bubblewrap/ });
  t.match(await rowOf('namespaces', bare), { state: 'missing', found: /not tried/ });
});

test('doctor, a jail that cannot be made, names the switch that forbids it', async (t) => {
  const run: Machine['run'] = async (_file, args) =>
    args.includes('--unshare-all') ? { code: 1, line: 'bwrap: No permissions' } : { code: 0, line: '' };
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1\n', /AppArmor profile/],
    ['/proc/sys/kernel/unprivileged_userns_clone', '0\n', /unprivileged_userns_clone=1/],
    ['/proc/sys/user/max_user_namespaces', '0\n', /max_user_namespaces/],
    ['/none', '', /container/],
  ];
  for (const [path, text, advice] of cases) {
    t.match(await rowOf('namespaces', machine({ run }, { [path]: text })), { state: 'missing', advice });
  }
});

test('doctor, cgroups and the kernel overlay, are a limitation and not a failure', async (t) => {
  const closed = machine({ canWrite: async () => false }, { '/proc/filesystems': 'nodev\tsysfs\n' });
  t.match(await rowOf('cgroups', closed), { state: 'limited', found: 'version 2, not delegated' });
  t.match(await rowOf('kernel overlay', closed), { state: 'limited' });
  const old = machine({}, { '/sys/fs/cgroup/cgroup.controllers': null });
  t.match(await rowOf('cgroups', old), { state: 'ok', found: 'version 1, writable' });
});

test('doctor, the home, open to others or too long for a socket, is told', async (t) => {
  t.match(await rowOf('home', machine({ homeFault: async () => 'it is open' })), {
    state: 'wrong',
    found: 'it is open',
  });
  t.match(await rowOf('home', machine({ homePath: `/${'x'.repeat(100)}` })), { state: 'wrong', found: /too long/ });
  t.match(await rowOf('disk space', machine({ freeBytes: async () => 1024 })), { state: 'limited', found: '1K free' });
});

test('doctor, a supervisor that cannot be asked, is not ok', async (t) => {
  const mute = async () => {
    throw new Fault('timed_out', 'the supervisor does not accept');
  };
  t.match(await rowOf('supervisor', machine({ supervisor: mute })), { state: 'wrong', found: /does not accept/ });
  const home = await makeHome(t);
  await chmod(home, 0o755);
  const { exitCode, out } = await runCli(['doctor', '--json'], home);
  t.equal(exitCode, 1);
  const rows: CheckRow[] = JSON.parse(out);
  const stateOf = (check: string) => rows.find((row) => row.check === check)?.state;
  t.same([stateOf('home'), stateOf('supervisor')], ['wrong', 'limited']);
});

test('astrid doctor, on this machine, prints a row per check and the same as JSON', async (t) => {
  const home = await makeHome(t);
  const { out } = await runCli(['doctor'], home);
  t.match(out, /^CHECK +STATE +FOUND +WHAT TO DO\nnode +ok/);
  const rows: CheckRow[] = JSON.parse((await runCli(['doctor', '--json'], home)).out);
  t.match(
    rows.find((row) => row.check === 'supervisor'),
    { state: 'ok', found: 'not running' },
  );
});
