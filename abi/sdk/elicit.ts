import { call, decodeJson, encodeJson } from './call.js';
import { SystemError } from './system-error.js';

/**
 * Questions to the person who installs or upgrades the capsule; only inside `install` and `upgrade`. Each waits up to 120 s, and
 * fails at once when nobody is connected. A key has at most 4 KiB, a description, an option and a default 4,096 characters, an
 * answer 64 KiB; at most 256 options.
 * @throws SystemError `cancelled` (the person did not want to, or nobody could be asked), `timed_out`, `not_supported` (called
 * outside of the two hooks), `invalid_argument`, `too_large`, `quota_exceeded` (16 questions wait already),
 * `io_error` (a secret could not be stored).
 */
export interface Question {
  /** Name of the value. */
  readonly key: string;
  readonly description?: string;
}

interface Answer {
  readonly value?: string;
  readonly values?: string[];
  readonly ok?: boolean;
}

function ask(question: Record<string, unknown>): Answer {
  return decodeJson<Answer>(call('astrid_elicit', encodeJson(question)));
}

export function text(question: Question & { readonly default?: string }): string {
  return requireValue(ask({ type: 'text', ...question }));
}

/** The kernel stores the answer as a secret of this name; the capsule never sees it. The key is not empty and has no `:`. */
export function secret(question: Question): void {
  ask({ type: 'secret', ...question });
}

/** One of the options; an answer that is none of them is refused. */
export function select(
  question: Question & { readonly options: readonly string[]; readonly default?: string },
): string {
  const value = requireValue(ask({ type: 'select', ...question }));
  if (!question.options.includes(value)) throw new SystemError('invalid_argument', `${question.key}: not an option`);
  return value;
}

export function array(question: Question): string[] {
  return ask({ type: 'array', ...question }).values ?? [];
}

function requireValue(answer: Answer): string {
  if (answer.value === undefined) throw new SystemError('cancelled', 'the question was not answered');
  return answer.value;
}
