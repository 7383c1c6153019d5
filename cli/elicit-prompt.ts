import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ElicitRow } from '../abi/control.js';
import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { ControlClient } from './client.js';
import type { CommandArguments, CommandContext } from './context.js';
import { type Io, isInteractive } from './io.js';
import { KeyInput } from './key-input.js';
import { readRecord } from './results.js';
import { printFault } from './view/fault-view.js';
import { paint, type Terminal } from './view/terminal.js';

type Answer =
  | { readonly value: string }
  | { readonly values: string[] }
  | { readonly cancel: true; readonly reason: string };

/** Answers given beforehand. Secrets come from files: an argument list is open to every process of the machine. */
export interface Presets {
  readonly values: ReadonlyMap<string, string>;
  /** Key to path. */
  readonly secretFiles: ReadonlyMap<string, string>;
  /** Keys of the questions that came. */
  readonly asked: Set<string>;
}

/** `--set KEY=VALUE` and `--secret-file KEY=PATH`, for `answerQuestions`. */
export const PRESET_OPTIONS = {
  set: { type: 'string', array: true, requiresArg: true, describe: 'KEY=VALUE: answers a question beforehand' },
  'secret-file': {
    type: 'string',
    array: true,
    requiresArg: true,
    describe: 'KEY=PATH: answers the question for a secret with what a file holds',
  },
} as const;

export function readPresets(args: CommandArguments): Presets {
  return {
    values: readPairs(args, 'set'),
    secretFiles: readPairs(args, 'secret-file', 'KEY=PATH'),
    asked: new Set(),
  };
}

/** What was given beforehand for no question that came, as it was typed: most likely a key that is misspelled. */
export function unaskedPresets({ values, secretFiles, asked }: Presets): string[] {
  const options = [...values.keys()].map((key) => ['--set', key] as const);
  const files = [...secretFiles.keys()].map((key) => ['--secret-file', key] as const);
  return [...options, ...files].filter(([, key]) => !asked.has(key)).map(([option, key]) => `${option} ${key}`);
}

/** `KEY=VALUE` pairs of an option that may be given many times. */
export function readPairs(args: CommandArguments, option: string, form = 'KEY=VALUE'): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const text of args.texts(option)) {
    const at = text.indexOf('=');
    // The text is not repeated: it may be a secret that was put in the wrong place.
    if (at < 1) throw new Fault('invalid_argument', `--${option}: expected ${form}`, { field: option });
    pairs.set(text.slice(0, at), text.slice(at + 1));
  }
  return pairs;
}

/** What a file holds as a secret, without the newline that editors add. */
async function readSecretFile(path: string, key: string): Promise<string> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new Fault('not_found', `${key}: the file of the secret cannot be opened`, { field: key, cause });
  });
  if (info.size > LIMITS.secretBytesMax)
    throw new Fault('too_large', `${key}: a secret has at most ${LIMITS.secretBytesMax} bytes`, { field: key });
  return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
}

/**
 * Runs `work`, and answers what the hooks of one capsule ask meanwhile: from the presets, else by asking on the terminal. Without
 * a terminal nothing waits: the question is cancelled at once, and the error says how to answer it beforehand.
 */
export async function answerQuestions<T>(
  context: CommandContext,
  client: ControlClient,
  options: { readonly capsule?: string; readonly presets: Presets },
  work: () => Promise<T>,
): Promise<T> {
  // Opened before the work begins: a question that nobody follows is refused.
  const stream = await client.stream(
    'elicit.follow',
    options.capsule === undefined ? {} : { capsule: options.capsule },
  );
  const desk = new QuestionDesk(context.io, client, options.presets);
  const pump = async () => {
    for await (const event of stream) desk.take(readRecord<ElicitRow>(event, 'elicit.follow'));
  };
  const pumping = pump().catch((error: unknown) => desk.fail(asFault(error)));
  try {
    return await work();
  } finally {
    stream.cancel();
    desk.close();
    await pumping;
  }
}

/** One question after the other; one that was settled elsewhere goes away. */
class QuestionDesk {
  readonly #io: Io;
  readonly #client: ControlClient;
  readonly #presets: Presets;
  readonly #waiting: ElicitRow[] = [];
  #asking: { readonly id: string; readonly dismiss: AbortController } | null = null;
  #closed = false;

  constructor(io: Io, client: ControlClient, presets: Presets) {
    this.#io = io;
    this.#client = client;
    this.#presets = presets;
  }

  take(row: ElicitRow): void {
    if (row.state === 'open') {
      this.#presets.asked.add(row.key);
      this.#waiting.push(row);
      if (this.#asking === null) void this.#askAll();
      return;
    }
    const index = this.#waiting.findIndex(({ id }) => id === row.id);
    if (index >= 0) this.#waiting.splice(index, 1);
    if (this.#asking?.id === row.id) this.#asking.dismiss.abort();
  }

  fail(fault: Fault): void {
    if (!this.#closed) printFault(this.#io.err, fault);
    this.#asking?.dismiss.abort();
  }

  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#asking?.dismiss.abort();
  }

  async #askAll(): Promise<void> {
    for (let row = this.#waiting.shift(); row !== undefined; row = this.#waiting.shift()) {
      this.#asking = { id: row.id, dismiss: new AbortController() };
      try {
        await this.#settle(row, this.#asking.dismiss.signal);
      } catch (error) {
        this.fail(asFault(error));
      } finally {
        this.#asking = null;
      }
    }
  }

  async #settle(row: ElicitRow, dismissed: AbortSignal): Promise<void> {
    const preset = await this.#preset(row);
    if (preset !== null) return this.#send(row, preset);
    if (!isInteractive(this.#io)) return this.#send(row, { cancel: true, reason: howToAnswer(row) });
    const { stdin, editorOutput, keyQuietMs, err } = this.#io;
    const input = new KeyInput(stdin, editorOutput, keyQuietMs === undefined ? {} : { quietMs: keyQuietMs });
    try {
      await askUntilTaken(err, input, row, dismissed, (answer) => this.#send(row, answer));
    } finally {
      input.close();
    }
  }

  /** What was given beforehand. A value on the argument list is no answer to a secret. */
  async #preset(row: ElicitRow): Promise<Answer | null> {
    const { values, secretFiles } = this.#presets;
    if (row.kind !== 'secret') return values.has(row.key) ? toAnswer(row, values.get(row.key) ?? '') : null;
    const path = secretFiles.get(row.key);
    if (path === undefined) return null;
    try {
      return { value: await readSecretFile(resolve(this.#io.cwd, path), row.key) };
    } catch (error) {
      return { cancel: true, reason: asFault(error).message };
    }
  }

  async #send(row: ElicitRow, answer: Answer): Promise<void> {
    await sendElicitAnswer(this.#client, row, answer);
  }
}

/** Gives the answer to the supervisor. A question that is gone meanwhile is nobody's mistake. */
async function sendElicitAnswer(client: ControlClient, row: ElicitRow, answer: Answer): Promise<void> {
  try {
    await client.request('elicit.answer', { id: row.id, ...answer });
  } catch (error) {
    if (asFault(error).code !== 'not_found') throw error;
  }
}

/** Asks on the terminal and sends, until an answer is taken; for a chat, which has the keyboard already. */
export async function askQuestion(
  terminal: Terminal,
  input: KeyInput,
  client: ControlClient,
  row: ElicitRow,
  dismissed: AbortSignal,
): Promise<void> {
  await askUntilTaken(terminal, input, row, dismissed, (answer) => sendElicitAnswer(client, row, answer));
}

async function askUntilTaken(
  terminal: Terminal,
  input: KeyInput,
  row: ElicitRow,
  dismissed: AbortSignal,
  send: (answer: Answer) => Promise<void>,
): Promise<void> {
  for (;;) {
    const answer = await askElicit(terminal, input, row, dismissed);
    if (answer === null) return;
    try {
      await send(answer);
      return;
    } catch (error) {
      const fault = asFault(error);
      if (fault.code !== 'invalid_argument' && fault.code !== 'too_large') throw fault;
      printFault(terminal, fault);
    }
  }
}

/** Null: settled elsewhere. Ctrl-C, Ctrl-D and Escape cancel the question, and with it usually the install. */
async function askElicit(
  terminal: Terminal,
  input: KeyInput,
  row: ElicitRow,
  dismissed: AbortSignal,
): Promise<Answer | null> {
  terminal.line(paint('bold', `${row.capsule} asks for ${row.key}`));
  if (row.prompt !== row.key) terminal.line(row.prompt);
  row.options.forEach((option, index) => {
    terminal.line(`  ${index + 1}) `, option);
  });
  const show = () => terminal.write(paint('dim', hintFor(row)), '> ');
  const got = await input.readField(row.kind === 'secret', show, dismissed);
  terminal.write('\n');
  if ('text' in got) return toAnswer(row, got.text === '' ? (row.default ?? '') : got.text);
  return got.ended === 'dismissed' ? null : { cancel: true, reason: 'cancelled by the person who was asked' };
}

function hintFor(row: ElicitRow): string {
  if (row.kind === 'secret') return '(hidden) ';
  const fallback = row.default === null ? '' : `[${row.default}] `;
  if (row.kind === 'select') return `${fallback}1-${row.options.length} `;
  return row.kind === 'array' ? `${fallback}(separated by commas) ` : fallback;
}

/** A choice may be given as its number; a list is separated by commas. */
function toAnswer(row: ElicitRow, text: string): Answer {
  if (row.kind === 'array') {
    const items = text.split(',').map((item) => item.trim());
    return { values: items.filter((item) => item !== '') };
  }
  if (row.kind === 'select' && !row.options.includes(text) && /^\d{1,3}$/.test(text.trim())) {
    const chosen = row.options[Number(text) - 1];
    if (chosen !== undefined) return { value: chosen };
  }
  return { value: text };
}

function howToAnswer(row: ElicitRow): string {
  const way = row.kind === 'secret' ? `--secret-file ${row.key}=PATH` : `--set ${row.key}=VALUE`;
  return `there is no terminal to ask on; give it with ${way}`.slice(0, 512);
}
