import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { buildIfChanged } from '../../cli/build/cache.js';
import { assemble } from '../kit/guest-wat.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const EXAMPLE = join(PACKAGE_ROOT, 'docs/examples/as-counter');
const SDK = join(PACKAGE_ROOT, 'abi/sdk');

/** Counts twice per prompt and logs what it is told, in the language of the example. */
const DRIVER = `
import { Answer, Capsule } from "astrid/as/capsule";
import { publish } from "astrid/as/ipc";
import { Json } from "astrid/as/json";
import { decodeText } from "astrid/as/memory";
import { Request } from "astrid/as/request";
import { log } from "astrid/as/sys";

function call(tool: string, args: Json): void {
  const message = Json.object().setText("type", "tool_execute_request").setText("call_id", tool).setText("tool_name", tool);
  publish("tool.v1.execute." + tool, message.set("arguments", args)).unwrap();
}
const capsule = new Capsule()
  .interceptor("go", (request: Request): Answer => {
    const said = request.json();
    if (said !== null && said.text("text") == "crash") throw new Error("on purpose");
    call("count_up", Json.object().setText("name", "visits \\u2602").setNumber("by", 2));
    call("read_counter", Json.object().setText("name", ""));
    return Answer.goOn();
  })
  .interceptor("told", (request: Request): Answer => {
    log("info", "told " + decodeText(request.payload));
    return Answer.goOn();
  });
export function astrid_hook_trigger(): i32 {
  return capsule.hook();
}
`;
const DRIVER_MANIFEST = `[package]
name = "driver"
version = "0.1.0"
abi = 3
restart = "never"
[[component]]
id = "driver"
file = "driver.wasm"
[publish]
"tool.v1.execute.count_up" = { wit = "opaque" }
"tool.v1.execute.read_counter" = { wit = "opaque" }
[subscribe]
"user.v1.prompt" = { wit = "opaque", handler = "go" }
"tool.v1.execute.count_up.result" = { wit = "opaque", handler = "told" }
"tool.v1.execute.read_counter.result" = { wit = "opaque", handler = "told" }
`;

test('an AssemblyScript capsule, in two places, gives the same bytes, imports what it uses and leaves nothing beside', async (t) => {
  const root = t.testdir({});
  const first = await buildIfChanged(EXAMPLE, join(root, 'out'), { sdkDir: SDK });
  mkdirSync(join(root, 'elsewhere'));
  cpSync(EXAMPLE, join(root, 'elsewhere/copy'), { recursive: true });
  const second = await buildIfChanged(join(root, 'elsewhere/copy'), join(root, 'other'), { sdkDir: SDK });
  t.equal(second.hashBlake3, first.hashBlake3);
  t.equal((await buildIfChanged(EXAMPLE, join(root, 'out'), { sdkDir: SDK })).action, 'unchanged');
  t.ok(first.bytes < 64 * 1024, `${first.bytes} bytes`);
  const ready = {
    'Capsule.toml': readFileSync(join(EXAMPLE, 'Capsule.toml')),
    'as-counter.wasm': readFileSync(first.wasmFile),
  };
  const third = await buildIfChanged(`${t.testdir({ ready })}/ready`, join(root, 'third'), { sdkDir: SDK });
  t.equal(third.hashBlake3, first.hashBlake3, 'a ready module comes out as it went in');
});

test('AssemblyScript source that does not compile, or needs what is not there, one error with the place and the line', async (t) => {
  const build = (source: string) => {
    const dir = t.testdir({ 'Capsule.toml': DRIVER_MANIFEST, assembly: { 'index.ts': source } });
    return buildIfChanged(dir, join(dir, 'out'), { sdkDir: SDK });
  };
  const entry = 'export function astrid_hook_trigger(): i32 { return 0; }\n';
  await t.rejects(build(`${entry}const a: i32 = "text";\n`), {
    code: 'invalid_argument',
    field: 'assembly/index.ts:2:16',
    message: /^assembly\/index\.ts:2:16: Type .*\n {2}2 \| const a: i32 = "text";\n {4}\| {16}\^/,
  });
  await t.rejects(build('export function f(): i32 { return <i32>Date.now(); }\n'), {
    code: 'bad_module',
    message: /env"?\.\S*Date\.now.*use now\(\) of astrid\/as\/sys/,
  });
  await t.rejects(build('export function f(): i32 { return 0; }\n'), {
    code: 'bad_module',
    message: /exports neither/,
  });
  await t.rejects(build('import "../../../secret";\n'), {
    code: 'invalid_argument',
    message: /secret\S* lies outside/,
  });
});

test('a ready module that is none, or asks for more than is served, is refused', async (t) => {
  const build = (wasm: Uint8Array) => {
    const dir = t.testdir({ 'Capsule.toml': DRIVER_MANIFEST, 'driver.wasm': Buffer.from(wasm) });
    return buildIfChanged(dir, join(dir, 'out'), { sdkDir: SDK });
  };
  await t.rejects(build(Buffer.from('not wasm')), { code: 'bad_module' });
  const foreign = await assemble(
    '(module (import "env" "abort" (func)) (func (export "run") (result i32) (i32.const 0)))',
  );
  await t.rejects(build(foreign), { code: 'bad_module', message: /abort/ });
});

test('an AssemblyScript capsule in a real system answers tools, keeps its state over a restart, and tells why it ended', async (t) => {
  const root = t.testdir({ driver: { 'Capsule.toml': DRIVER_MANIFEST, assembly: { 'index.ts': DRIVER } } });
  const guests: Record<string, { manifest: string; wasm: Uint8Array }> = {};
  for (const dir of [EXAMPLE, join(root, 'driver')]) {
    const { name, wasmFile } = await buildIfChanged(dir, join(root, 'out'), { sdkDir: SDK });
    guests[name] = { manifest: readFileSync(join(dir, 'Capsule.toml'), 'utf8'), wasm: readFileSync(wasmFile) };
  }
  const first = await startSupervisor({ builtins: guests });
  t.teardown(first.end);
  const client = await first.connect();
  const { say } = await openSession(client, first.workspace);
  await say('go');
  t.match((await waitForLog(client, 'driver', /told .*count_up/)).message, /"content":"2","is_error":false/);
  const refused = (await waitForLog(client, 'driver', /told .*read_counter/)).message;
  t.match(refused, /invalid_argument: name.*"is_error":true/);
  await say('crash');
  await waitForLog(client, 'driver', /on purpose \(assembly\/index\.ts:\d+:\d+\)/);
  client.close();
  await first.kill('SIGTERM');
  const second = await first.again();
  t.teardown(second.end);
  const again = await second.connect();
  t.teardown(() => again.close());
  await (await openSession(again, second.workspace)).say('go');
  await waitForLog(again, 'driver', /told .*"content":"4"/);
});
