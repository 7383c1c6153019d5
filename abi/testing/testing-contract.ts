/*
 * What the tests of a capsule and the program that runs them agree on; authors import it by way of `testing.ts`.
 */

/** A JSON value as it travels on the bus. */
export type Json = unknown;

export interface Message {
  readonly topic: string;
  /** As an interceptor gets it: `custom` and `raw_json` have lost their wrapping. */
  readonly payload: Json;
  /** As a subscription gets it, with its `type`. */
  readonly tagged: Json;
  /** `capsule`: the one under test. `test`: this file, by `publish` or a scripted answer. `kernel`: the kernel itself. */
  readonly from: 'capsule' | 'test' | 'kernel';
  /** Bus-wide, from 1. */
  readonly seq: number;
}

export interface ToolOutcome {
  readonly content: string;
  readonly isError: boolean;
}

export interface ToolEntry {
  readonly name: string;
  readonly description: string;
  readonly input_schema: Readonly<Record<string, Json>>;
}

export interface LogLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
}

/** One action of the capsule as the audit log of a real system would hold it. */
export interface AuditLine {
  /** The host call without its prefix, for example `write_file`. */
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
}

/** A question to a person. */
export interface Asked {
  readonly action: string;
  readonly resource: string;
  readonly detail: readonly string[];
}

export type Decision = 'once' | 'session' | 'deny';

export interface Publication {
  readonly topic: string;
  readonly payload: Json;
}

export interface BootOptions {
  /** Values of the manifest's `[env]`; the others have their defaults. */
  readonly config?: Readonly<Record<string, string>>;
  /** Files that lie in the workspace from the start: path without a scheme to content. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** What a person answers when the capsule does something that is asked about; `deny` when absent. */
  readonly approve?: Decision | ((question: Asked) => Decision);
}

export interface WaitOptions {
  /** Real milliseconds, 5,000 when absent. */
  readonly timeoutMs?: number;
}

/** Values of the capsule under test, in the namespace that its own calls use. */
export interface TestValues {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Parsed as JSON; undefined when there is none. */
  getJson(key: string): Promise<Json>;
  set(key: string, value: string | Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  list(prefix?: string): Promise<readonly string[]>;
}

/** Files as the capsule sees them: `cwd://` (the workspace with its overlay, the default), `home://`, `tmp://`. */
export interface TestFiles {
  read(path: string): Promise<Uint8Array>;
  readText(path: string): Promise<string>;
  write(path: string, content: string | Uint8Array): Promise<void>;
  exists(path: string): Promise<boolean>;
  list(path?: string): Promise<readonly string[]>;
  /** Paths that changed in the overlay since `boot`: what a person would see in `astrid diff`. */
  changed(): Promise<readonly string[]>;
}

export interface TestClock {
  /** What the capsule reads now, in milliseconds since 1970. */
  now(): number;
  /**
   * Moves the capsule's clock forward and lets the kernel's ticks of that time happen (one per 5 s, at most 1,000).
   * Resolves when they were handled. Waits of host calls (`ipc.recv`) are real time and not moved.
   */
  advance(ms: number): Promise<void>;
}

export interface TestKernel {
  /** Where the worker runs: `jail`, or `process` when this machine has no jail. */
  readonly tier: 'jail' | 'process';
  /** Everything that was on the bus, in order. */
  readonly messages: readonly Message[];
  readonly logs: readonly LogLine[];
  readonly audit: readonly AuditLine[];
  /** Questions that were put to a person, with whatever `approve` answered. */
  readonly asked: readonly Asked[];
  readonly kv: TestValues;
  readonly files: TestFiles;
  readonly clock: TestClock;
  /** Calls a tool as the agent would and waits for its result. Rejects when the call never reaches the tool. */
  callTool(name: string, args?: Json, options?: WaitOptions): Promise<ToolOutcome>;
  /** The tools that the capsule describes to models. */
  describeTools(): Promise<readonly ToolEntry[]>;
  /** Runs one of the capsule's commands and gives its result. */
  runCommand(name: string, args?: Json): Promise<Json>;
  /** Sends a message as anybody on the bus would. What the capsule does with it may still be going on. */
  publish(topic: string, payload?: Json): void;
  /** Calls the capsule's interceptors of a hook and gives what they answered. */
  triggerHook(topic: string, payload?: Json): Promise<readonly Json[]>;
  /**
   * The next message that matches, from the first one that no earlier call of `nextMessage` has gone past. In patterns
   * `*` is one segment, at the end one or more. Rejects when none comes in time, with what came instead.
   */
  nextMessage(pattern: string, options?: WaitOptions): Promise<Message>;
  /**
   * Plays another capsule: each message that matches is given to `reply`, and what that returns is published. Returns how to
   * stop.
   */
  answer(
    pattern: string,
    reply: (message: Message) => Publication | readonly Publication[] | undefined | Promise<Publication | undefined>,
  ): () => void;
  /** Plays a capsule that takes part in a hook: what `reply` returns is one of the hook's answers. */
  answerHook(topic: string, reply: (payload: Json) => Json): void;
  /** Resolves when the capsule and the scripted answers have nothing left to do. Not for a run loop, which never has. */
  settled(): Promise<void>;
  /** Ends the process and starts it again over the same state, as after a crash or an update of the system. */
  restart(): Promise<void>;
  /** Calls the capsule's `install`. */
  install(): Promise<void>;
  /** Calls the capsule's `upgrade` as if the version before had been installed. */
  upgrade(previousVersion: string): Promise<void>;
  /** Ends the process and removes its files. Done for you when the test file ends. */
  close(): Promise<void>;
}

/** `node:test`, as far as most tests need it. A test that needs more can import `node:test` itself. */
export interface TestFunction {
  (name: string, run: () => void | Promise<void>): void;
  skip(name: string, run: () => void | Promise<void>): void;
  only(name: string, run: () => void | Promise<void>): void;
}

type Expected = RegExp | (new (...args: never[]) => object) | ((error: unknown) => boolean) | object;

/** `node:assert/strict`, as far as most tests need it. */
export interface Assert {
  ok(value: unknown, message?: string): asserts value;
  equal<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
  notEqual(actual: unknown, expected: unknown, message?: string): void;
  deepEqual<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
  notDeepEqual(actual: unknown, expected: unknown, message?: string): void;
  match(text: string, pattern: RegExp, message?: string): void;
  doesNotMatch(text: string, pattern: RegExp, message?: string): void;
  throws(run: () => unknown, expected?: Expected, message?: string): void;
  rejects(run: Promise<unknown> | (() => Promise<unknown>), expected?: Expected, message?: string): Promise<void>;
  fail(message?: string): never;
}

/** What the program that runs tests puts in place before it loads one. */
export interface TestHost {
  readonly boot: (options: BootOptions) => Promise<TestKernel>;
  readonly test: TestFunction;
  readonly assert: Assert;
}

/** Where the host is found: the test file is a bundle of its own and shares nothing else with the program that loads it. */
export const TEST_HOST_KEY = 'astrid.capsule-test';
