import { test } from 'tap';
import { readSources, type SourceFile, targetOf } from '../kit/source-files.js';

/** Who may import whom (design section 10). A room not in its own list may still import itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  abi: [],
  bus: ['abi'],
  worker: ['abi', 'bus'],
  supervisor: ['abi', 'bus'],
  cli: ['abi', 'bus'],
  capsules: ['abi/sdk'],
};

/** Services own one resource each and do not know each other; `boot` and the files beside it wire them. */
const SERVICES = [
  'vfs',
  'storage',
  'capsule',
  'auditor',
  'gate',
  'proc',
  'pool',
  'syscalls',
  'control',
  'uplink',
  'identity',
  'http',
  'install',
  'host-process',
  'cron',
  'secrets',
  'lifecycle',
  'private-files',
];
const SERVICE_MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  gate: ['storage'],
  // A handler shapes what its service answers; the mount interface and the path type are that service's face.
  syscalls: ['vfs', 'http', 'lifecycle'],
  // Files below the home are reached through the store's held directories, under its names.
  secrets: ['capsule', 'private-files'],
  auditor: ['private-files'],
  control: ['private-files'],
  lifecycle: ['capsule', 'proc', 'secrets'],
  // A task runs the service's own function on another thread.
  pool: ['capsule', 'auditor'],
  // An install works on the store; what it needs of processes and the log is handed in.
  install: ['capsule', 'proc', 'lifecycle'],
};

test('rooms import only what the design lets them', (t) => {
  const wrong: string[] = [];
  for (const [room, allowed] of Object.entries(MAY_IMPORT)) {
    for (const file of readSources(room)) {
      for (const specifier of file.imports) {
        const target = targetOf(file, specifier);
        if (target === null || target.startsWith(`${room}/`)) continue;
        if (!allowed.some((prefix) => target.startsWith(`${prefix}/`))) wrong.push(`${file.path} imports ${target}`);
      }
    }
  }
  t.same(wrong, []);
  t.end();
});

test('supervisor services do not import each other', (t) => {
  const wrong: string[] = [];
  for (const service of SERVICES) {
    const allowed = SERVICE_MAY_IMPORT[service] ?? [];
    for (const file of readSources('supervisor').filter(({ path }) => path.startsWith(`supervisor/${service}/`))) {
      for (const other of importedServices(file)) {
        if (other !== service && !allowed.includes(other)) wrong.push(`${file.path} imports supervisor/${other}`);
      }
    }
  }
  t.same(wrong, []);
  t.end();
});

function importedServices(file: SourceFile): string[] {
  const targets = file.imports.map((specifier) => targetOf(file, specifier) ?? '');
  return SERVICES.filter((service) => targets.some((target) => target.startsWith(`supervisor/${service}/`)));
}

test('children are started in the files that own starting, and environment is read at the rim', (t) => {
  const spawners = readSources('supervisor', 'worker', 'bus', 'abi').filter((file) =>
    file.imports.includes('node:child_process'),
  );
  t.same(
    spawners.map(({ path }) => path).sort(),
    [
      'supervisor/auditor/spawn.ts',
      'supervisor/host-process/started-view.ts',
      'supervisor/proc/host-tools.ts',
      'supervisor/proc/spawn.ts',
      'supervisor/secrets/secret-tool.ts',
      'supervisor/vfs/whiteout.ts',
    ],
    'no other file can start a process',
  );
  const readers = readSources('supervisor', 'worker', 'bus', 'abi').filter((file) => file.text.includes('process.env'));
  t.same(
    readers.map(({ path }) => path),
    ['supervisor/main.ts'],
    'the environment is read once',
  );
  t.end();
});
