import { randomUUID } from 'node:crypto';
import type { ElicitRow } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Actor, BusMessage } from '../../bus/message.js';
import { checkSecretKey, type SecretStore } from '../secrets/secret-store.js';
import { checkAnswer, type ElicitAnswer, type ElicitRequest, elicitPayload } from './elicit-request.js';

const REQUEST_TOPIC = 'astrid.v1.elicit';
export const ANSWER_PREFIX = 'astrid.v1.elicit.response.';
const REASON_CHARS_MAX = 512;

/** Who asks. Made by the kernel, never from arguments. */
export interface Asker {
  readonly capsule: string;
  readonly phase: 'normal' | 'install' | 'upgrade';
  readonly actor: Actor;
  readonly cancel: AbortSignal;
}

export interface QuestionsParts {
  readonly secrets: SecretStore;
  readonly publish: (topic: string, payload: unknown, actor: Actor) => void;
  /** Whether a capsule that speaks for people runs: it may answer over the bus, though not for a secret. */
  readonly uplinkRuns: () => boolean;
  readonly log: (capsule: string, message: string) => void;
  readonly now: () => number;
  /** Milliseconds; a test makes it short. */
  readonly waitMs?: number;
}

interface Open {
  readonly row: ElicitRow;
  readonly request: ElicitRequest;
  readonly principal: string;
  readonly settle: (result: unknown) => void;
}

/**
 * Questions that install and upgrade hooks ask a person. A question is out on two ways: as a message on the bus, as in the
 * original, and to control clients that follow. The first answer counts.
 *
 * A secret is answered over the control socket only. Answers on the bus are taken off it before any subscriber sees them, also
 * late ones and those to nobody's question; one that answers a secret is dropped besides, because the capsule that published it
 * had the value in its hands.
 */
export class Questions {
  readonly #parts: QuestionsParts;
  readonly #open = new Map<string, Open>();
  readonly #followers = new Set<(row: ElicitRow) => void>();

  constructor(parts: QuestionsParts) {
    this.#parts = parts;
  }

  /** What can be refused without asking, in the order in which it is looked at. Throws Fault as `ask` does. */
  admit(request: ElicitRequest, { phase }: Pick<Asker, 'phase'>): void {
    if (phase === 'normal') {
      const message =
        'elicit works inside astrid_install and astrid_upgrade only: nobody is there to be asked otherwise';
      throw new Fault('not_supported', message);
    }
    if (request.kind === 'secret') checkSecretKey(request.key);
    if (this.#open.size >= LIMITS.elicitOpenMax)
      throw new Fault('quota_exceeded', `${LIMITS.elicitOpenMax} questions wait for an answer already`);
    const reachable = this.#followers.size > 0 || (request.kind !== 'secret' && this.#parts.uplinkRuns());
    if (!reachable) throw new Fault('cancelled', `${request.key}: nobody is connected who could answer`);
  }

  /** What the guest gets as JSON. Throws Fault; `cancelled` when nobody wants to, or can, answer. */
  ask(request: ElicitRequest, asker: Asker): Promise<unknown> {
    const { capsule, actor, cancel } = asker;
    this.admit(request, asker);
    if (cancel.aborted) throw new Fault('cancelled', 'the capsule is being stopped');
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (result: unknown) => {
        // A secret that is being stored can be cancelled meanwhile: the asker and those who follow are told once.
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        cancel.removeEventListener('abort', onAbort);
        this.#open.delete(id);
        if (result instanceof Fault) reject(result);
        else resolve(result);
        const state = result instanceof Fault ? 'cancelled' : 'answered';
        this.#tell({ ...open.row, state });
      };
      const waitMs = this.#parts.waitMs ?? LIMITS.elicitWaitMs;
      const late = new Fault('timed_out', `${request.key}: no answer within ${waitMs / 1000} s`);
      const timer = setTimeout(() => settle(late), waitMs);
      const onAbort = () => settle(new Fault('cancelled', 'the capsule is being stopped'));
      cancel.addEventListener('abort', onAbort, { once: true });
      const row = makeRow(id, request, asker, this.#parts.now());
      const open: Open = { row, request, principal: actor.principal, settle };
      this.#open.set(id, open);
      this.#parts.publish(REQUEST_TOPIC, elicitPayload(id, capsule, request), actor);
      this.#tell(row);
    });
  }

  /** Open questions, and then every one as it comes and as it is settled. */
  follow(onRow: (row: ElicitRow) => void): () => void {
    for (const { row } of this.#open.values()) onRow(row);
    this.#followers.add(onRow);
    return () => void this.#followers.delete(onRow);
  }

  /**
   * An answer from the control socket. One that does not fit the question is refused and the question stays. @throws Fault
   * `not_found` when it is settled already, or never was
   */
  async answer(id: string, answer: ElicitAnswer): Promise<ElicitRow> {
    const open = this.#open.get(id);
    if (open === undefined)
      throw new Fault('not_found', 'id: no such question, or it was answered already', { field: 'id' });
    if ('cancel' in answer) {
      const why = (answer.reason ?? 'the question was not answered').slice(0, REASON_CHARS_MAX);
      open.settle(new Fault('cancelled', `${open.request.key}: ${why}`));
      return open.row;
    }
    const checked = checkAnswer(open.request, answer);
    if (open.request.kind !== 'secret') {
      open.settle(Array.isArray(checked) ? { values: checked } : { value: checked });
      return open.row;
    }
    await this.#keepSecret(id, open, String(checked));
    return open.row;
  }

  /** Taken at once, so that a second answer finds nothing; the guest goes on when the secret is on disk. */
  async #keepSecret(id: string, open: Open, value: string): Promise<void> {
    this.#open.delete(id);
    const space = { principal: open.principal, capsule: open.row.capsule };
    try {
      await this.#parts.secrets.set(space, open.request.key, Buffer.from(value));
    } catch (error) {
      open.settle(new Fault(asFault(error).code, `${open.request.key}: the secret could not be stored`));
      throw error;
    }
    open.settle({ ok: true });
  }

  /** A message below `ANSWER_PREFIX`, checked against the publisher's access list and kept from every subscriber. */
  receive({ topic, payload, actor }: BusMessage): void {
    const open = this.#open.get(topic.slice(ANSWER_PREFIX.length));
    // Late, made up, or for another principal: for whoever sent it there is no such question.
    if (open === undefined || open.principal !== actor.principal) return;
    const { key, kind } = open.request;
    if (kind === 'secret') {
      this.#parts.log(
        open.row.capsule,
        `an answer for the secret ${key} came over the bus and was dropped: use astrid`,
      );
      return;
    }
    const answer = readBusAnswer(payload, open.row.id);
    if (answer === null) {
      open.settle(new Fault('invalid_argument', `${key}: the answer has the wrong form`));
      return;
    }
    this.answer(open.row.id, answer).catch((error: unknown) => open.settle(asFault(error)));
  }

  #tell(row: ElicitRow): void {
    for (const follower of this.#followers) follower(row);
  }
}

function makeRow(id: string, request: ElicitRequest, { capsule, actor }: Asker, createdAt: number): ElicitRow {
  const { kind, key, description, options, fallback } = request;
  const prompt = description ?? key;
  return {
    id,
    capsule,
    principal: actor.principal,
    kind,
    key,
    prompt,
    options,
    default: kind === 'secret' ? null : fallback,
    createdAt,
    state: 'open',
  };
}

/** `elicit_response` with neither value is the original's way to cancel. Null: not an answer to this question. */
function readBusAnswer(payload: unknown, id: string): ElicitAnswer | null {
  if (typeof payload !== 'object' || payload === null) return null;
  const { type, request_id, value, values } = payload as Record<string, unknown>;
  if (type !== 'elicit_response' || request_id !== id) return null;
  if (typeof value === 'string') return { value };
  if (Array.isArray(values)) return { values: values as string[] };
  return { cancel: true, reason: null };
}
