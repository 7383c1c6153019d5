import { test } from 'tap';
import type { CheckFinding } from '../../abi/testing/check-contract.js';
import { findArguments } from '../../cli/author/source-scan.js';
import { manifestOf, Workshop } from './author-kit.js';

const MAIN = `
import { defineCapsule } from 'astrid/sdk';
import * as env from 'astrid/sdk/env';
import * as fs from 'astrid/sdk/fs';
import { publish as say } from 'astrid/sdk/ipc';
// publish('commented.v1.out') is no use of it
const TOPIC = 'said.v1.const';
defineCapsule({
  interceptors: {
    go: () => {
      say('said.v1.allowed', { model: env.get('modle') });
      say(TOPIC, fs.readTextFile('cwd://x'));
      say('said.v1.forbidden', {});
    },
    orphan: () => undefined,
  },
});
`;
const MANIFEST = manifestOf(
  'checked',
  `[capabilities]
host_process = ["ls"]
[publish]
"said.v1.allowed" = { wit = "opaque" }
"said.v1.const" = { wit = "opaque" }
"said.v1.never" = { wit = "opaque" }
[[interceptor]]
event = "a.v1.b"
action = "goo"
[env]
model = { type = "string", default = "" }
`,
);

async function findingsOf(t: { teardown(run: () => unknown): void }, files: Record<string, string>, exitCode: number) {
  const shop = new Workshop(t);
  await shop.make('checked', 'tool', files);
  const result = await shop.run('capsule', 'check', 'checked', '--json');
  if (result.exitCode !== exitCode) throw new Error(`exit ${result.exitCode}: ${result.out}${result.err}`);
  return JSON.parse(result.out) as CheckFinding[];
}

test('capsule check, a manifest and code that disagree, names each disagreement with its line', async (t) => {
  const findings = await findingsOf(t, { 'main.ts': MAIN, 'Capsule.toml': MANIFEST }, 1);
  const short = findings.map(({ level, code, file, line }) => `${level} ${code} ${file}:${line}`);
  t.same(short.sort(), [
    'error missing_action Capsule.toml:18',
    'error missing_capability Capsule.toml:10',
    'error undeclared_env main.ts:11',
    'error unlisted_topic main.ts:13',
    'warning unreachable_action Capsule.toml:0',
    'warning unreachable_action Capsule.toml:0',
    'warning unused_capability Capsule.toml:11',
    'warning unused_env Capsule.toml:20',
    'warning unused_topic Capsule.toml:15',
  ]);
  const text = findings.map(({ message }) => message).join('\n');
  t.match(text, /no action goo; did you mean go\?/);
  t.match(text, /env\.get\("modle"\) is not declared in \[env\]; did you mean model\?/);
  t.match(text, /astrid_read_file/);
});

test('capsule check, an unknown key, is an error with its line and the nearest key', async (t) => {
  const [finding] = await findingsOf(
    t,
    { 'Capsule.toml': manifestOf('checked', '[capabilities]\nfs_raed = ["cwd://"]\n') },
    1,
  );
  t.match(finding, {
    level: 'error',
    code: 'unknown_key',
    file: 'Capsule.toml',
    line: 11,
    message: /fs_raed.*did you mean "fs_read"\?/,
  });
});

test('capsule check, a manifest with a mistake, says where and what was expected', async (t) => {
  const [finding] = await findingsOf(t, { 'Capsule.toml': manifestOf('checked', '[limits]\nwall_ms = "long"\n') }, 1);
  t.match(finding, {
    level: 'error',
    code: 'bad_manifest',
    line: 11,
    message: /limits\.wall_ms: expected a whole number/,
  });
});

test('capsule check, a tool whose result topic or event is missing, says the line to add', async (t) => {
  const shop = new Workshop(t);
  await shop.make('checked', 'tool', {
    'Capsule.toml': manifestOf(
      'checked',
      '[publish]\n"other.v1.topic" = { wit = "opaque" }\n[env]\nnotes_max = { type = "string" }\n',
    ),
  });
  const { out, exitCode } = await shop.run('capsule', 'check', 'checked');
  t.equal(exitCode, 1);
  t.match(
    out,
    /Capsule\.toml:10: error: the tool answers on tool\.v1\.execute\.add_note\.result, which \[publish\] does not list \(unlisted_topic\)/,
  );
  t.match(
    out,
    /warning: nothing calls the action tool_execute_add_note: add an \[\[interceptor\]\] with event = "tool\.v1\.execute\.add_note"/,
  );
});

test('arguments of SDK calls, in every way to import and to write them, are found or said to be open', (t) => {
  const find = (code: string) => findArguments(code, 'astrid/sdk/ipc', 'publish');
  t.same(find('import*as ipc from"astrid/sdk/ipc";ipc.publish("a.v1",{});'), ['a.v1']);
  t.same(find('import*as bus from"astrid/sdk/ipc";bus.publish(`a.v1`,{});'), ['a.v1']);
  t.same(find('import{publish}from"astrid/sdk/ipc";publish("a.v1",{});other.publish("b.v1")'), ['a.v1']);
  t.same(find('import{poll,publish as say}from"astrid/sdk/ipc";say("a.v1",{});publish("b.v1")'), ['a.v1']);
  t.same(find('import*as ipc from"astrid/sdk/ipc";const T="a.v1";ipc.publish(T,{});ipc.publish(U,{})'), ['a.v1', null]);
  t.same(find('import*as ipc from"astrid/sdk/ipc";ipc.publish(`a.$' + '{x}`,{});ipc.publish("a."+x,{})'), [null, null]);
  t.same(find('import*as ipc from"somewhere/else";ipc.publish("a.v1",{})'), []);
  t.end();
});

test('capsule check, a timer of the manifest, is what calls its action and what needs cron', async (t) => {
  const main = (action: string) =>
    `import { defineCapsule } from 'astrid/sdk';\ndefineCapsule({ interceptors: { ${action}: () => undefined } });\n`;
  const timer = '[capabilities]\ncron = true\n[[cron]]\nname = "often"\nschedule = "* * * * *"\naction = "tick"\n';
  const files = (action: string) => ({ 'main.ts': main(action), 'Capsule.toml': manifestOf('checked', timer) });
  t.same(await findingsOf(t, files('tick'), 0), []);
  t.match(await findingsOf(t, files('tock'), 1), [
    { level: 'warning', code: 'unreachable_action' },
    { level: 'error', code: 'missing_action' },
  ]);
});

test('capsule check, a name that the SDK does not export, is an error where it is used', async (t) => {
  const shop = new Workshop(t);
  const main = `import { defineCapsule } from 'astrid/sdk';
import * as kv from 'astrid/sdk/kv';
defineCapsule({ interceptors: { go: () => kv.getText('x') } });
`;
  await shop.make('checked', 'tool', { 'main.ts': main });
  t.match(await shop.run('capsule', 'check', 'checked'), { exitCode: 1, err: /^main\.ts:3:\d+: .*getText/ });
});
