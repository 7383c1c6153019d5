import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { SYSCALLS } from '../../abi/table.js';
import { loadConfig, parseConfig } from '../../supervisor/config.js';

function messageOf(work: () => unknown): string {
  try {
    work();
    return 'accepted';
  } catch (thrown) {
    return thrown instanceof Fault
      ? `${thrown.code} ${thrown.field ?? ''} ${thrown.message}`
      : `not a fault: ${thrown}`;
  }
}

test('a missing or empty configuration, is the defaults, frozen to the bottom', (t) => {
  const config = loadConfig(join(t.testdir(), 'config.toml'));
  t.same(config, parseConfig(''));
  t.match(config, {
    approval: { mode: 'guided' },
    log: { level: 'info' },
    tiers: { acceptWeaker: [] },
    capsules: { disabled: [] },
  });
  t.match(config, {
    tokens: { required: false },
    budget: { configured: false },
    policy: { denyPaths: [], denyHosts: [], denyCapsules: [], denyActions: [] },
  });
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.policy) && Object.isFrozen(config.policy.denyPaths));
  t.end();
});

test('a whole configuration, is read as written', (t) => {
  const path = join(t.testdir({ 'config.toml': '' }), 'config.toml');
  writeFileSync(
    path,
    `
[approval]
mode = "safe"
[policy]
deny_paths = ["home://.ssh/**", "**/.env"]
deny_hosts = ["Bücher.example.", "*.Example.org", "0x7f.1", "[::FFFF:10.0.0.1]", "[2001:DB8:0::1]", "*"]
deny_capsules = ["evil"]
deny_actions = ["fs_unlink", "astrid_kv_set"]
argument_bytes_max = 1024
[tiers]
accept_weaker = ["weather"]
[capsules]
disabled = ["fs"]
[net]
local = ["localhost:11434", "[::1]:8080"]
[process]
network = ["shell"]
[log]
level = "debug"
[secrets]
store = "keyring"
`,
    { mode: 0o600 },
  );
  t.same(loadConfig(path), {
    approval: { mode: 'safe' },
    policy: {
      denyPaths: ['home://.ssh/**', '**/.env'],
      denyHosts: ['xn--bcher-kva.example', '*.example.org', '127.0.0.1', '10.0.0.1', '[2001:db8::1]', '*'],
      denyCapsules: ['evil'],
      denyActions: ['fs_unlink', 'kv_set'],
      argumentBytesMax: 1024,
    },
    tiers: { acceptWeaker: ['weather'] },
    capsules: { disabled: ['fs'] },
    net: { local: ['localhost:11434', '[::1]:8080'] },
    process: { network: ['shell'] },
    log: { level: 'debug' },
    secrets: { store: 'keyring' },
    tokens: { required: false },
    budget: { configured: false },
  });
  t.end();
});

test('a configuration with something wrong, is one fault with key, line and what was expected', (t) => {
  const cases: [string, RegExp][] = [
    ['[net]\nlocal = ["localhost"]', /^bad_config net\.local\[0\] .*line 2.*host and a port/],
    ['[net]\nlocal = ["http://localhost:1"]', /^bad_config net\.local\[0\] .*line 2.*host and a port/],
    ['[net]\nlocal = ["localhost:0", "localhost:1"]', /^bad_config net\.local\[0\] /],
    ['[net]\nlocal = ["localhost:70000"]', /^bad_config net\.local\[0\] /],
    ['[net]\nlocal = ["169.254.169.254:80"]', /^bad_config net\.local\[0\] .*private network/],
    ['[net]\nlocal = ["0.0.0.0:80"]', /^bad_config net\.local\[0\] /],
    [
      '[approval]\nmode = "fast"',
      /^bad_config approval\.mode config\.toml line 2: .*"safe", "guided", "autonomous", "yolo"/,
    ],
    ['[approval]\nmode = 5', /^bad_config approval\.mode .*line 2.*one of/],
    ['\n[approval]\nmood = "safe"', /^bad_config approval\.mood .*line 3.*unknown key, did you mean mode\?/],
    ['[aproval]\nmode = "safe"', /^bad_config aproval .*line 1.*did you mean approval\?/],
    ['approval = 3', /^bad_config approval .*line 1.*a section/],
    ['[policy]\ndeny_paths = "x"', /^bad_config policy\.deny_paths .*line 2.*a list of path patterns/],
    ['[policy]\ndeny_paths = [5]', /^bad_config policy\.deny_paths\[0\] .*line 2/],
    ['[policy]\ndeny_paths = ["secret/**"]', /^bad_config policy\.deny_paths\[0\] .*a path pattern such as/],
    ['[policy]\ndeny_paths = ["cwd://a/../b"]', /^bad_config policy\.deny_paths\[0\] /],
    ['[policy]\ndeny_paths = ["cwd://a//b"]', /^bad_config policy\.deny_paths\[0\] /],
    ['[policy]\ndeny_paths = ["file:///etc"]', /^bad_config policy\.deny_paths\[0\] /],
    ['[policy]\ndeny_hosts = "a.example"', /^bad_config policy\.deny_hosts .*line 2.*a list of hosts/],
    ['[policy]\ndeny_hosts = [5]', /^bad_config policy\.deny_hosts\[0\] .*line 2.*a host such as/],
    ...[
      '',
      '.',
      'https://a.example',
      'a.example:443',
      'a.example/x',
      '::1',
      'a..b',
      '*.',
      '**.a.example',
      'a.*',
      '*.127.0.0.1',
    ].map((entry): [string, RegExp] => [
      `[policy]\ndeny_hosts = ["a.example", "${entry}"]`,
      /^bad_config policy\.deny_hosts\[1\] .*line 2.*expected a host such as "example\.org"/,
    ]),
    ['[policy]\ndeny_paths = [""]', /^bad_config policy\.deny_paths\[0\] /],
    [`[policy]\ndeny_paths = ["*${'a'.repeat(1024)}"]`, /^bad_config policy\.deny_paths\[0\] .*1024/],
    ['[policy]\ndeny_actions = ["write_fil"]', /^bad_config policy\.deny_actions\[0\] .*a host call that/],
    ...['capsule.start', 'cron.fire', 'overlay.commit', 'no.such'].map((name): [string, RegExp] => [
      `[policy]\ndeny_actions = ["kv_set", "${name}"]`,
      /^bad_config policy\.deny_actions\[1\] .*line 2.*"write_file".*kernel.*cannot be denied/,
    ]),
    ...['get_config', 'get_caller', 'astrid_log', 'signal_ready', 'clock_ms'].map((name): [string, RegExp] => [
      `[policy]\ndeny_actions = ["${name}"]`,
      /^bad_config policy\.deny_actions\[0\] .*line 2.*"write_file"/,
    ]),
    ...['policy.deny_capsules', 'tiers.accept_weaker', 'process.network', 'capsules.disabled'].flatMap((key) =>
      ['Ghost', 'ghost_', 'gh_ost', '-ghost', 'ghost-', 'a'.repeat(65)].map((name): [string, RegExp] => {
        const [section, list] = key.split('.') as [string, string];
        const field = key.replace('.', '\\.');
        return [
          `[${section}]\n${list} = ["ghost", "${name}"]`,
          new RegExp(`^bad_config ${field}\\[1\\] .*line 2.*name of a capsule.*a-z, 0-9 and -`),
        ];
      }),
    ),
    ['[policy]\nargument_bytes_max = -1', /^bad_config policy\.argument_bytes_max .*0 or more/],
    ['[policy]\nargument_bytes_max = 1.5', /^bad_config policy\.argument_bytes_max .*whole number/],
    ['[tiers]\naccept_weaker = [""]', /^bad_config tiers\.accept_weaker\[0\] .*name of a capsule/],
    ['[capsules]\ndisabled = ["a/b"]', /^bad_config capsules\.disabled\[0\] /],
    ['[log]\nlevel = "loud"', /^bad_config log\.level .*"trace"/],
    ['[tokens]\nrequired = "yes"', /^bad_config tokens\.required .*true or false/],
    ['[approval\nmode = "safe"', /^bad_config {2}config\.toml line 1: /],
    ['[log]\nlevel = "info"\nlevel = "warn"', /^bad_config {2}config\.toml line 3: /],
  ];
  for (const [text, expected] of cases)
    t.match(
      messageOf(() => parseConfig(text)),
      expected,
      text,
    );
  t.end();
});

test('a configuration file that others may change, is no file, is too large or no text, is refused', (t) => {
  const dir = t.testdir({ 'config.toml': '[log]\nlevel = "info"\n' });
  const path = join(dir, 'config.toml');
  chmodSync(path, 0o666);
  t.match(
    messageOf(() => loadConfig(path)),
    /^bad_config .*changed by other users/,
  );
  chmodSync(path, 0o600);
  t.equal(
    messageOf(() => loadConfig(path)),
    'accepted',
  );
  writeFileSync(path, Buffer.from([0x23, 0xff, 0xfe]));
  t.match(
    messageOf(() => loadConfig(path)),
    /^bad_config .*not UTF-8/,
  );
  writeFileSync(path, `#${'x'.repeat(1024 * 1024)}`);
  t.match(
    messageOf(() => loadConfig(path)),
    /^bad_config .*larger than/,
  );
  mkdirSync(join(dir, 'dir'));
  t.match(
    messageOf(() => loadConfig(join(dir, 'dir'))),
    /^bad_config .*not a file/,
  );
  t.end();
});

test('each call that the gate decides can be denied, with or without its prefix, and no other action', (t) => {
  const accepts = (name: string) => messageOf(() => parseConfig(`[policy]\ndeny_actions = ["${name}"]`)) === 'accepted';
  for (const row of SYSCALLS) {
    t.equal(accepts(row.name), row.path === 'supervisor', row.name);
    t.equal(accepts(row.name.replace('astrid_', '')), row.path === 'supervisor');
  }
  t.end();
});
