import { z } from 'zod';
import { CAPSULE_METHODS } from './capsule-control.js';
import { SESSION_ID, SESSION_ID_FORM } from './session-id.js';

/**
 * The protocol between an uplink (the CLI) and the supervisor on `run/system.sock`: frames of `bus/frame.ts`.
 *
 *   client → {t:'hello', token, protocol, client}          supervisor → {t:'welcome', protocol, version, pid}
 *   client → {t:'req', id, method, params}                 supervisor → {t:'res', id, ok, result | error}
 *   streaming methods answer `res` with {stream} and then  supervisor → {t:'event', stream, data} … {t:'end', stream, error?}
 *   client → {t:'cancel', stream}
 */
export const CONTROL_PROTOCOL = 1;

const session = z.string().regex(SESSION_ID, SESSION_ID_FORM);
const target = z.string().min(1).max(128);
const none = z.strictObject({});

export const APPROVAL_MODES = ['safe', 'guided', 'autonomous', 'yolo'] as const;
export type ApprovalMode = (typeof APPROVAL_MODES)[number];

const APPROVAL_DECISIONS = ['once', 'session', 'deny'] as const;
export type ApprovalDecision = (typeof APPROVAL_DECISIONS)[number];

interface MethodRow {
  readonly params: z.ZodType;
  readonly stream: boolean;
}

/** Every control method: its parameters, and whether it answers with a stream. Dispatch is checked against this table. */
export const CONTROL_METHODS = {
  status: { params: none, stream: false },
  ps: { params: none, stream: false },
  kill: { params: z.strictObject({ target }), stream: false },
  restart: { params: z.strictObject({ target }), stream: false },
  logs: {
    params: z.strictObject({
      capsule: target.optional(),
      lines: z.number().int().min(0).max(10_000).default(100),
      follow: z.boolean().default(false),
    }),
    stream: true,
  },
  'session.open': {
    params: z.strictObject({
      id: session.optional(),
      workspace: z.string().min(1).max(4096),
      mode: z.enum(APPROVAL_MODES).optional(),
      /** True when a person can answer approvals on this connection; otherwise they are queued. */
      interactive: z.boolean(),
    }),
    stream: false,
  },
  'session.list': { params: none, stream: false },
  /** Messages of one session that match any of the patterns (subscription rule A). */
  'bus.subscribe': {
    params: z.strictObject({ session, patterns: z.array(z.string().min(1).max(256)).min(1).max(16) }),
    stream: true,
  },
  /** Only topics of `CLIENT_TOPICS`. */
  'bus.publish': {
    params: z.strictObject({ session, topic: z.string().min(1).max(256), payload: z.unknown() }),
    stream: false,
  },
  'approvals.list': { params: z.strictObject({ session: session.optional() }), stream: false },
  /** Pending approvals of the session, now and as they come; also when one is settled. */
  'approvals.follow': { params: z.strictObject({ session }), stream: true },
  'approvals.answer': {
    params: z.strictObject({ id: z.string().min(1).max(64), decision: z.enum(APPROVAL_DECISIONS) }),
    stream: false,
  },
  /** Questions of install and upgrade hooks, open ones first, then every change; with `capsule` only of that one. */
  'elicit.follow': { params: z.strictObject({ capsule: target.optional() }), stream: true },
  /** Exactly one of `value`, `values` (for an array) and `cancel`. Secrets are answered here and nowhere else. */
  'elicit.answer': {
    params: z.strictObject({
      id: z.string().min(1).max(64),
      value: z.string().optional(),
      values: z.array(z.string()).optional(),
      cancel: z.literal(true).optional(),
      reason: z.string().max(512).optional(),
    }),
    stream: false,
  },
  /** Settings (`[env]`) of an installed capsule, changed first when `set` or `unset` is given. */
  'capsule.config': {
    params: z.strictObject({
      capsule: target,
      set: z.record(z.string().max(128), z.string()).default({}),
      unset: z.array(z.string().max(128)).max(1000).default([]),
    }),
    stream: false,
  },
  /** Keeps a secret of an installed capsule; without `value` it is removed. There is no way to read one. */
  'capsule.secret': {
    params: z.strictObject({ capsule: target, key: z.string().max(4096), value: z.string().optional() }),
    stream: false,
  },
  /** Slash commands that running capsules declare. Answers `CommandRow[]`, by name. */
  'commands.list': { params: none, stream: false },
  'overlay.diff': { params: z.strictObject({ session, paths: z.array(z.string()).optional() }), stream: false },
  'overlay.commit': { params: z.strictObject({ session, paths: z.array(z.string()).optional() }), stream: false },
  'overlay.rollback': { params: z.strictObject({ session, paths: z.array(z.string()).optional() }), stream: false },
  'audit.tail': {
    params: z.strictObject({
      lines: z.number().int().min(0).max(10_000).default(20),
      follow: z.boolean().default(false),
    }),
    stream: true,
  },
  ...CAPSULE_METHODS,
  stop: { params: none, stream: false },
} as const satisfies Record<string, MethodRow>;

export type ControlMethod = keyof typeof CONTROL_METHODS;
/** What a caller passes (defaults may be left out) and what a handler gets (defaults filled in). */
export type ControlInput<M extends ControlMethod> = z.input<(typeof CONTROL_METHODS)[M]['params']>;
export type ControlParams<M extends ControlMethod> = z.output<(typeof CONTROL_METHODS)[M]['params']>;

/** Topics an uplink may publish on (ABI reference section 7). */
export const CLIENT_TOPICS: readonly string[] = ['user.v1.prompt', 'cli.v1.command.execute'];

export type ProcessState = 'starting' | 'ready' | 'running' | 'waiting' | 'stopping' | 'backoff' | 'failed' | 'stopped';

export interface ProcessRow {
  readonly pid: number | null;
  readonly capsule: string;
  readonly version: string;
  readonly tier: string;
  /** `hook`: not the capsule itself, but an instance of its own for its install or upgrade hook. */
  readonly state: ProcessState | 'hook';
  /** The host call, approval or message it waits on; empty when it waits for nothing. */
  readonly waitsOn: string;
  readonly ageMs: number;
  readonly cpuMs: number;
  readonly memoryBytes: number;
  readonly memoryMaxBytes: number;
  readonly calls: number;
  readonly restarts: number;
}

/** `kill` answers this; with `hook`, what was ended is a hook, and with it the install or the upgrade. */
export interface KillResult {
  readonly capsule: string;
  readonly hook?: 'install' | 'upgrade';
}

/** What the verification of the whole log after boot has come to. `entries` were read and hold. */
export interface AuditCheck {
  readonly state: 'running' | 'ok' | 'bad' | 'failed';
  readonly entries: number;
  /** The first bad entry, or why the log could not be read; null when there is nothing to say. */
  readonly message: string | null;
}

export interface AuditorStatus {
  readonly pid: number | null;
  readonly state: 'up' | 'down';
  readonly treeSize: number;
  /** Records since this start that the log does not take, of actions that had happened: it is not complete if there are any. */
  readonly dropped: number;
}

export interface StatusResult {
  readonly pid: number;
  readonly version: string;
  readonly uptimeMs: number;
  readonly home: string;
  readonly capsules: { readonly total: number; readonly ready: number; readonly failed: number };
  readonly clients: number;
  readonly sessions: number;
  readonly pendingApprovals: number;
  readonly auditor: AuditorStatus;
  readonly auditCheck: AuditCheck;
  /** Boot steps with how long each took. */
  readonly boot: readonly { readonly step: string; readonly ms: number }[];
}

export interface SessionRow {
  readonly id: string;
  readonly principal: string;
  readonly workspace: string;
  readonly mode: ApprovalMode;
  readonly createdAt: number;
  readonly resumed: boolean;
}

export interface ApprovalRow {
  readonly id: string;
  readonly session: string;
  readonly principal: string;
  readonly capsule: string;
  /** `kernel`: the gate asks about a call. `capsule`: its own question, in which action and resource are any text it likes. */
  readonly origin: 'kernel' | 'capsule';
  /** The syscall or, for `request_approval`, the action the capsule names. */
  readonly action: string;
  readonly resource: string;
  /** What it would do, in lines a person can judge; already stripped of control characters. */
  readonly detail: readonly string[];
  readonly risk: string;
  /** The rule that wants a person to say, in words. */
  readonly why: string;
  /** The answers that are taken: `session` is not where nothing is remembered. */
  readonly decisions: readonly ApprovalDecision[];
  readonly argsHash: string;
  readonly createdAt: number;
  /** `pending`: someone waits for the answer; `queued`: nobody was there, the next try after an answer goes through. */
  readonly state: 'pending' | 'queued' | 'once' | 'session' | 'denied' | 'expired' | 'used';
}

/** A question of an install or upgrade hook. */
export interface ElicitRow {
  readonly id: string;
  readonly capsule: string;
  readonly principal: string;
  readonly kind: 'text' | 'secret' | 'select' | 'array';
  readonly key: string;
  /** The capsule's own words: untrusted text. */
  readonly prompt: string;
  /** Empty but for `select`; any other answer is refused. */
  readonly options: readonly string[];
  readonly default: string | null;
  readonly createdAt: number;
  readonly state: 'open' | 'answered' | 'cancelled';
}

export type ElicitAnswerInput =
  | { readonly value: string }
  | { readonly values: readonly string[] }
  | { readonly cancel: true; readonly reason: string | null };

/** One row of `[env]`. `value` is null when it is unset, and always for a secret. */
export interface EnvValueRow {
  readonly name: string;
  readonly type: 'string' | 'secret' | 'array';
  readonly description: string | null;
  readonly choices: readonly string[];
  readonly value: string | null;
  readonly source: 'value' | 'default' | 'unset';
}

/** One `[[command]]` of a capsule that runs. Both texts are the author's: strip before printing. */
export interface CommandRow {
  /** Without its slash. */
  readonly name: string;
  readonly description: string | null;
  readonly capsule: string;
}

export interface LogRow {
  readonly time: number;
  readonly capsule: string;
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
}

/** One event of `bus.subscribe`. `lagged`: messages lost for this subscriber since the last event. */
export interface BusEventRow {
  readonly topic: string;
  readonly payload: unknown;
  readonly principal: string;
  readonly seq: number;
  readonly timestamp: string;
  readonly lagged: number;
}

export interface DiffRow {
  readonly path: string;
  readonly kind: 'added' | 'modified' | 'deleted' | 'directory';
  /** Unified diff, or null for binary or large files. */
  readonly unified: string | null;
  readonly bytes: number;
}

export interface CommitResult {
  readonly committed: readonly string[];
  /** Files whose lower version changed since copy-up; left as they are. */
  readonly conflicts: readonly string[];
}

export interface RollbackResult {
  readonly rolledBack: readonly string[];
}
