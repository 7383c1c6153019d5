import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type {
  BootOptions,
  Message,
  Publication,
  TestFiles,
  TestKernel,
  TestValues,
  ToolEntry,
  ToolOutcome,
} from '../../abi/testing/testing-contract.js';
import type { Actor } from '../../bus/message.js';
import { normalisePayload } from '../../bus/payload.js';
import { matchSubscription } from '../../bus/topic-match.js';
import { KERNEL_ACTOR } from '../kernel-hooks.js';
import { encodeRequest, encodeUpgrade, RequestPayload } from '../proc/guest-request.js';
import { parseGuestPath } from '../vfs/path.js';
import { type Machine, openMachine, PEER, PRINCIPAL, SESSION, SESSION_ACTOR, type Subject } from './machine.js';

const WAIT_MS = 5_000;
const TICK_TOPIC = 'astrid.v1.watchdog.tick';
const FAILED_TOPIC = 'astrid.v1.delivery.failed';
const TICKS_MAX = 1_000;

type Payload = Readonly<Record<string, unknown>> | null;

/** Boots a kernel in `root`, which it makes and, when it is closed, removes. */
export async function bootTestKernel(subject: Subject, root: string, options: BootOptions): Promise<TestKernel> {
  const { approve = 'deny' } = options;
  await mkdir(root, { mode: 0o700 });
  const machine = await openMachine(subject, {
    root,
    config: options.config ?? {},
    approve: typeof approve === 'function' ? approve : () => approve,
  });
  const close = async () => {
    await machine.close();
    await rm(root, { recursive: true, force: true });
  };
  try {
    for (const [path, content] of Object.entries(options.files ?? {})) await plant(machine.workspace, path, content);
    await machine.tested.start();
    return makeKernel(subject, machine, close);
  } catch (error) {
    await close();
    throw explain(error, machine);
  }
}

function makeKernel(subject: Subject, machine: Machine, close: () => Promise<void>): TestKernel {
  const { record, router, tested, pending, clock } = machine;
  const bus = new TestBus(machine);
  let closing: Promise<void> | null = null;
  return {
    tier: subject.tier,
    messages: record.all,
    logs: machine.lines,
    audit: machine.audit,
    asked: machine.asked,
    kv: makeValues(machine),
    files: makeFiles(machine),
    clock: {
      now: () => Date.now() + clock.aheadMs,
      advance: async (ms) => {
        const ticks = advanceClock(machine, ms);
        for (let tick = 0; tick < Math.min(ticks, TICKS_MAX); tick++) {
          bus.publishAs(TICK_TOPIC, {}, KERNEL_ACTOR);
          bus.publishAs(TICK_TOPIC, { session_id: SESSION }, { ...SESSION_ACTOR, attribution: 'system' });
          await pending.idle();
        }
      },
    },
    callTool: (name, args, { timeoutMs = WAIT_MS } = {}) => bus.callTool(name, args ?? {}, timeoutMs),
    describeTools: async () => {
      const answers = await bus.triggerHook('tool.v1.request.describe', {});
      return answers.flatMap((answer) => (answer as { tools?: readonly ToolEntry[] }).tools ?? []);
    },
    runCommand: async (name, args) => {
      const input = encodeRequest(name, Buffer.from(args === undefined ? '' : JSON.stringify(args)));
      const output = await runExport(machine, 'astrid_command_run', input);
      return output.length === 0 ? undefined : JSON.parse(output.toString('utf8'));
    },
    publish: (topic, payload) => bus.publish(topic, payload ?? {}),
    triggerHook: (topic, payload) => bus.triggerHook(topic, payload ?? {}),
    nextMessage: (pattern, { timeoutMs = WAIT_MS } = {}) => bus.next(pattern, timeoutMs),
    answer: (pattern, reply) => record.listen(pattern, (message) => void pending.track(bus.reply(message, reply))),
    answerHook: (topic, reply) => router.addInterceptor(PEER, { event: topic, action: machine.peer.add(reply) }),
    settled: () => pending.idle(),
    restart: async () => {
      await tested.restart();
    },
    install: async () => void (await runExport(machine, 'astrid_install', Buffer.alloc(0))),
    upgrade: async (previous) => {
      await runExport(machine, 'astrid_upgrade', encodeUpgrade(previous));
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Moves the clock and tells how many ticks lie in that time. */
function advanceClock({ clock }: Machine, ms: number): number {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`clock.advance takes milliseconds from 0 on, not ${ms}`);
  const before = Math.floor(clock.aheadMs / LIMITS.watchdogTickMs);
  clock.aheadMs += Math.round(ms);
  clock.send();
  return Math.floor(clock.aheadMs / LIMITS.watchdogTickMs) - before;
}

/** What a test says and hears on the bus. */
class TestBus {
  readonly #machine: Machine;
  #calls = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  publish(topic: string, payload: unknown): void {
    this.#machine.router.speakAsTest(() => this.publishAs(topic, payload, SESSION_ACTOR));
  }

  publishAs(topic: string, payload: unknown, actor: Actor): void {
    const { router, delivery, pending } = this.#machine;
    const published = router.publish(null, topic, normalisePayload(payload), 0, actor, { reliable: true });
    const waiting = delivery.deliver(published.message, published.interceptors);
    if (waiting !== undefined) void pending.track(waiting);
  }

  async reply(message: Message, reply: (message: Message) => unknown): Promise<void> {
    try {
      const answer = (await reply(message)) as Publication | readonly Publication[] | undefined;
      const list =
        answer === undefined ? [] : Array.isArray(answer) ? (answer as Publication[]) : [answer as Publication];
      for (const { topic, payload } of list) this.publish(topic, payload);
    } catch (error) {
      this.#machine.failures.push(`the scripted answer to ${message.topic} failed: ${String(error)}`);
    }
  }

  next(pattern: string, timeoutMs: number): Promise<Message> {
    const wants = ({ from, topic }: Message) => from !== 'test' && matchSubscription(pattern, topic);
    return this.#machine.record.next(`a message on ${pattern}`, wants, timeoutMs, () =>
      describeFailures(this.#machine),
    );
  }

  async triggerHook(topic: string, payload: unknown): Promise<unknown[]> {
    const { router, delivery, tested, failures, pending } = this.#machine;
    const request = new RequestPayload(Buffer.from(JSON.stringify(payload) ?? 'null'));
    const room = { leftBytes: LIMITS.hookAnswersBytesMax };
    const known = failures.length;
    const calls = router
      .matchInterceptors(topic)
      .filter(({ endpoint }) => endpoint === tested.name)
      .map((match) => pending.track(delivery.callHook(tested, match, request, SESSION_ACTOR, room)));
    if (calls.length === 0) throw new Error(`Capsule.toml has no interceptor for ${topic}`);
    const answers = await Promise.all(calls);
    if (failures.length > known) throw new Error(failures.slice(known).join('\n'));
    return answers.flatMap((answer) => (answer.kind === 'answer' ? [JSON.parse(answer.text) as unknown] : []));
  }

  async callTool(name: string, args: unknown, timeoutMs: number): Promise<ToolOutcome> {
    const machine = this.#machine;
    const topic = `tool.v1.execute.${name}`;
    const heard = machine.router.matchInterceptors(topic).some(({ endpoint }) => endpoint === machine.tested.name);
    if (!heard && machine.tested.patterns.size === 0) throw new Error(`Capsule.toml has no interceptor for ${topic}`);
    const callId = `call-${++this.#calls}`;
    const wants = ({ topic: on, payload }: Message) => {
      const body = payload as Payload;
      if (on === `${topic}.result`) return body?.['call_id'] === callId;
      const failed = body?.['payload'] as Payload | undefined;
      return on === FAILED_TOPIC && body?.['topic'] === topic && failed?.['call_id'] === callId;
    };
    const answer = machine.record.next(`the result of ${name}`, wants, timeoutMs, () => describeFailures(machine));
    this.publish(topic, { type: 'tool_execute_request', call_id: callId, tool_name: name, arguments: args });
    const { topic: on, payload } = await answer;
    const body = payload as Record<string, unknown>;
    if (on === FAILED_TOPIC) throw new Error(`${String(body['code'])}: ${String(body['reason'])}`);
    const result = body['result'] as { content: string; is_error?: boolean };
    return { content: result.content, isError: result.is_error === true };
  }
}

async function runExport(machine: Machine, exportName: string, input: Buffer): Promise<Buffer> {
  const { tested, manifest } = machine;
  const outcome = await tested.submit({
    ...{ exportName, input, actor: SESSION_ACTOR, message: null, label: exportName },
    wallMs: manifest.limits.wallMs,
  });
  if (outcome.kind === 'failed') throw new Error(`${outcome.fault.code}: ${outcome.fault.message}`);
  if (outcome.returnCode !== 0) throw new Error(outcome.error || `${exportName} returned ${outcome.returnCode}`);
  return outcome.output;
}

function makeValues({ kv, manifest: { name } }: Machine): TestValues {
  const get = async (key: string) => kv.get(PRINCIPAL, name, key) ?? undefined;
  return {
    get,
    getJson: async (key) => {
      const value = await get(key);
      return value === undefined ? undefined : JSON.parse(value.toString('utf8'));
    },
    set: (key, value) => kv.set(PRINCIPAL, name, key, Buffer.from(value)),
    delete: async (key) => void (await kv.delete(PRINCIPAL, name, key)),
    list: (prefix = '') => kv.list(PRINCIPAL, name, prefix),
  };
}

function makeFiles({ files }: Machine): TestFiles {
  const at = async (path: string) => {
    const parsed = parseGuestPath(path.includes('://') ? path : `cwd://${path}`);
    return { mount: await files.mountFor(parsed, SESSION_ACTOR), segments: parsed.segments };
  };
  const read = async (path: string) => {
    const { mount, segments } = await at(path);
    return mount.readFile(segments);
  };
  return {
    read,
    readText: async (path) => (await read(path)).toString('utf8'),
    write: async (path, content) => {
      const { mount, segments } = await at(path);
      await mount.writeFile(segments, Buffer.from(content));
    },
    exists: async (path) => {
      const { mount, segments } = await at(path);
      return mount.exists(segments);
    },
    list: async (path = '') => {
      const { mount, segments } = await at(path);
      return mount.readdir(segments);
    },
    changed: async () => (await files.diff(SESSION, undefined)).map((row) => row.path),
  };
}

/** A file of the real workspace, below the overlay. The directory is ours and new: nothing in it can lead elsewhere. */
async function plant(workspace: string, path: string, content: string | Uint8Array): Promise<void> {
  const { scheme, segments } = parseGuestPath(path.includes('://') ? path : `cwd://${path}`);
  if (scheme !== 'cwd' || segments.length === 0) {
    throw new Fault('invalid_argument', `files: expected a path in the workspace, got ${path}`, { field: 'files' });
  }
  const file = join(workspace, ...segments);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

function describeFailures({ failures, lines }: Machine): string {
  const errors = lines.filter(({ level }) => level === 'error').map(({ message }) => `log: ${message}`);
  const all = [...failures, ...errors];
  return all.length === 0 ? '' : `\nthe capsule said:\n${all.map((line) => `  ${line}`).join('\n')}`;
}

function explain(error: unknown, machine: Machine): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`the capsule does not start: ${message}${describeFailures(machine)}`, { cause: error });
}
