import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ApprovalRow } from '../../abi/control.js';
import { LIMITS } from '../../abi/limits.js';
import { cleanLines, cleanText, spellOut } from './approval-text.js';

/** What is asked. Made by the gate for a syscall (`kernel`), or by a capsule in words of its own (`capsule`). */
export interface Question {
  readonly origin: 'kernel' | 'capsule';
  readonly session: string | null;
  readonly scope: string | undefined;
  readonly principal: string;
  readonly capsule: string;
  /** Which install of the capsule's name asks: no answer is good for another one. */
  readonly install: string;
  readonly action: string;
  readonly resource: string;
  readonly argsHash: string;
  readonly risk: string;
  /** Why a person is asked: the rule, or that the capsule asks by itself. */
  readonly why: string;
  /** True in mode `safe`: the answer `session` is not offered. */
  readonly onceOnly: boolean;
  readonly detail: () => Promise<readonly string[]>;
}

const HASH = /^[0-9a-f]{64}$/;
export const APPROVAL_ID = /^[0-9a-f]{32}$/;

/**
 * Life of a record: `pending` (someone waits) or `queued` (nobody was there) → one answer → `used` (a waiting call took
 * it), `once` (a grant that the next identical action uses up → `used`), `session` or `denied`; without an answer →
 * `expired`. `pending` and `queued` differ only in whether a call waits, so after a restart every `pending` is `queued`.
 */
const recordSchema = z.strictObject({
  id: z.string().regex(APPROVAL_ID),
  session: z.string().nullable(),
  principal: z.string(),
  capsule: z.string(),
  /** Null in records from before there was this field: nobody can tell whose they are, so they grant nothing. */
  install: z.string().nullable().default(null),
  /** Records from before there was this field count as what is believed least. */
  origin: z.enum(['kernel', 'capsule']).default('capsule'),
  action: z.string(),
  resource: z.string(),
  detail: z.array(z.string()),
  risk: z.string(),
  why: z.string().default(''),
  argsHash: z.string(),
  binding: z.string().regex(HASH),
  allowance: z.string().regex(HASH).nullable(),
  onceOnly: z.boolean(),
  createdAt: z.number(),
  /** When the state last changed: what the bounds in time count from. */
  changedAt: z.number(),
  answeredBy: z.string().nullable(),
  /** True when the answer came with no call waiting for it: a `deny` must still be told to the next try. */
  unheard: z.boolean(),
  state: z.enum(['pending', 'queued', 'once', 'session', 'denied', 'expired', 'used']),
});

export type ApprovalRecord = Readonly<z.infer<typeof recordSchema>>;
export type ApprovalState = ApprovalRecord['state'];

export const OPEN_STATES: readonly ApprovalState[] = ['pending', 'queued'];

export function isOpen(record: ApprovalRecord): boolean {
  return record.state === 'pending' || record.state === 'queued';
}

/** Null for anything that is not a record of ours under its own id: such a thing grants nothing. */
export function decodeRecord(key: string, value: unknown): ApprovalRecord | null {
  const parsed = recordSchema.safeParse(value);
  return parsed.success && parsed.data.id === key ? parsed.data : null;
}

/**
 * What an answer is good for, as one hash: exactly this action with these arguments. Without a scope it is bound to the
 * session, since the same `cwd://` text means another file in another workspace. JSON keeps the fields apart.
 */
export function bindingOf(question: Question): string {
  const { origin, principal, capsule, install, action, resource, argsHash, scope, session } = question;
  const where = scope === undefined ? ['session', session] : ['scope', scope];
  return hash(['binding', origin, principal, capsule, install, action, resource, argsHash, ...where]);
}

/** What an allowance for the session covers: the same action on exactly this resource, whatever its other arguments. */
export function allowanceOf(
  question: Pick<Question, 'origin' | 'session' | 'principal' | 'capsule' | 'install' | 'action' | 'resource'>,
): string {
  const { origin, session, principal, capsule, install, action, resource } = question;
  return hash(['allowance', origin, session, principal, capsule, install, action, resource]);
}

function hash(fields: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(fields)).digest('hex');
}

export async function makeRecord(
  question: Question,
  made: {
    readonly id: string;
    readonly now: number;
    readonly state: 'pending' | 'queued';
    readonly allowance: string | null;
  },
): Promise<ApprovalRecord> {
  const { action, resource } = question;
  return {
    id: made.id,
    session: question.session,
    principal: question.principal,
    capsule: question.capsule,
    install: question.install,
    origin: question.origin,
    action: cleanText(action, LIMITS.approvalActionCharsMax),
    resource: cleanText(resource, LIMITS.approvalResourceCharsMax),
    detail: await describe(question),
    risk: cleanText(question.risk, LIMITS.approvalRiskCharsMax),
    why: cleanText(question.why, LIMITS.approvalActionCharsMax),
    argsHash: question.argsHash,
    binding: bindingOf(question),
    allowance: made.allowance,
    onceOnly: question.onceOnly,
    createdAt: made.now,
    changedAt: made.now,
    answeredBy: null,
    unheard: false,
    state: made.state,
  };
}

/** The caller's lines, before them what the person could not see in them: who speaks, and what looks like something else. */
async function describe(question: Question): Promise<string[]> {
  const notes: string[] = [];
  if (question.origin === 'capsule')
    notes.push('The capsule asks this in its own words; the kernel does nothing by itself.');
  const spelt = spellOut(`${question.action} ${question.resource}`, LIMITS.approvalResourceCharsMax);
  if (spelt !== null) notes.push(`Letter by letter: ${spelt}`);
  return [...notes, ...cleanLines(await question.detail())];
}

export function toApprovalRow(record: ApprovalRecord): ApprovalRow {
  const { id, principal, capsule, origin, action, resource, detail, risk, why, argsHash, createdAt, state } = record;
  return {
    id,
    session: record.session ?? '',
    principal,
    capsule,
    origin,
    action,
    resource,
    detail,
    risk,
    why,
    decisions: record.allowance === null ? ['once', 'deny'] : ['once', 'session', 'deny'],
    argsHash,
    createdAt,
    state,
  };
}
