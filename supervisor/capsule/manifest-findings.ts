import { z } from 'zod';
import { Fault } from '../../abi/errno.js';
import type { ManifestWarning } from '../../abi/manifest.js';
import { quotePrintable } from '../../abi/wasm/printable.js';
import { findNearestKey } from './nearest-key.js';
import { formatTomlPath, type TomlLines, type TomlPath } from './toml-lines.js';

/** What a manifest with thousands of unknown keys may cost: the rest is counted. */
const UNKNOWN_SHOWN_MAX = 64;

interface Finding {
  readonly path: TomlPath;
  readonly message: string;
}

/** Collects what is wrong with one manifest, and turns it into one error or a list of warnings. */
export class ManifestFindings {
  readonly #lines: TomlLines;
  readonly #problems: Finding[] = [];
  readonly #unknown: Finding[] = [];
  readonly #warnings: Finding[] = [];
  #unknownUnseen = 0;

  constructor(lines: TomlLines) {
    this.#lines = lines;
  }

  problem(path: TomlPath, message: string): void {
    this.#problems.push({ path, message });
  }

  warn(path: TomlPath, message: string): void {
    this.#warnings.push({ path, message });
  }

  unknownKey(path: TomlPath, known: readonly string[]): void {
    if (this.#unknown.length === UNKNOWN_SHOWN_MAX) {
      this.#unknownUnseen += 1;
      return;
    }
    const key = String(path.at(-1));
    const nearest = findNearestKey(key, known);
    const hint = nearest === null ? '' : `; did you mean "${nearest}"?`;
    this.#unknown.push({ path, message: `unknown key ${quotePrintable(key)}${hint}` });
  }

  /**
   * Checks a value and returns what the schema makes of it, or undefined when it is wrong. Unknown keys are noted and
   * removed from `value`, so that they alone do not make it wrong.
   */
  check<S extends z.ZodType>(schema: S, value: unknown, path: TomlPath): z.output<S> | undefined {
    const first = schema.safeParse(value);
    if (first.success) return first.data;
    let wrong = false;
    for (const issue of first.error.issues) {
      const at = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
      if (issue.code === 'unrecognized_keys') this.#takeUnknown(schema, value, path, at, issue.keys);
      else {
        wrong = true;
        this.problem([...path, ...at], describeMismatch(issue.message, valueAt(value, at), issue.code));
      }
    }
    if (wrong) return undefined;
    const second = schema.safeParse(value);
    if (second.success) return second.data;
    for (const issue of second.error.issues) this.problem(path, `expected ${issue.message}`);
    return undefined;
  }

  #takeUnknown(schema: z.ZodType, value: unknown, path: TomlPath, at: TomlPath, keys: readonly string[]): void {
    const holder = valueAt(value, at);
    const known = listKnownKeys(schema, at);
    for (const key of keys) {
      this.unknownKey([...path, ...at, key], known);
      if (isTable(holder)) delete holder[key];
    }
  }

  /**
   * @throws Fault `bad_manifest` for the first problem in the file; its field is the path of the key. With `strict`
   * an unknown key is such a problem.
   */
  settle(strict: boolean): ManifestWarning[] {
    const problems = strict ? [...this.#problems, ...this.#unknown] : this.#problems;
    const first = this.#located(problems)[0];
    if (first !== undefined) {
      const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
      const place = first.line > 0 ? `Capsule.toml line ${first.line}` : 'Capsule.toml';
      throw new Fault('bad_manifest', `${place}: ${first.path}: ${first.message}${more}`, { field: first.path });
    }
    const warnings = this.#located([...this.#unknown, ...this.#warnings]);
    if (this.#unknownUnseen > 0) {
      warnings.push({ line: 0, path: '', message: `${this.#unknownUnseen} more unknown keys` });
    }
    return warnings;
  }

  /** In file order; a key that is missing has the line of the table that should hold it. */
  #located(findings: readonly Finding[]): ManifestWarning[] {
    return findings
      .map(({ path, message }) => ({ line: this.#lines.lineOf(path), path: formatTomlPath(path), message }))
      .sort((a, b) => a.line - b.line);
  }
}

function describeMismatch(expected: string, got: unknown, code: string | undefined): string {
  if (code === 'invalid_key') return `expected ${expected}`;
  if (got === undefined) return `is missing, expected ${expected}`;
  return `expected ${expected}; got ${describeValue(got)}`;
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return quotePrintable(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Date) return 'a date';
  return Array.isArray(value) ? `a list of ${value.length}` : 'a table';
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueAt(value: unknown, path: TomlPath): unknown {
  let here = value;
  for (const step of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Record<string | number, unknown>)[step];
  }
  return here;
}

/** The keys a strict object at `path` takes, read from the schema itself: there is no second list to keep in step. */
function listKnownKeys(schema: z.ZodType, path: TomlPath): string[] {
  let here: unknown = unwrap(schema);
  for (const step of path) {
    if (here instanceof z.ZodArray) here = unwrap(here.element);
    else if (here instanceof z.ZodRecord) here = unwrap(here.valueType);
    else if (here instanceof z.ZodObject) here = unwrap(here.shape[step]);
    else return [];
  }
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function unwrap(schema: unknown): unknown {
  let here = schema;
  while (here instanceof z.ZodOptional || here instanceof z.ZodPipe) {
    here = here instanceof z.ZodPipe ? here.out : here.unwrap();
  }
  return here;
}
