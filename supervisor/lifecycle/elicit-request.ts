import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

const ELICIT_KINDS = ['text', 'secret', 'select', 'array'] as const;
export type ElicitKind = (typeof ELICIT_KINDS)[number];

/** What a capsule asks (ABI reference 2.8). */
export interface ElicitRequest {
  readonly kind: ElicitKind;
  readonly key: string;
  readonly description: string | null;
  /** Empty but for `select`. */
  readonly options: readonly string[];
  readonly fallback: string | null;
}

/** What a person answers. */
export type ElicitAnswer =
  | { readonly value: string }
  | { readonly values: readonly string[] }
  | { readonly cancel: true; readonly reason: string | null };

/** The request's JSON. Unknown fields are ignored, `null` counts as absent. @throws Fault `invalid_argument`, `too_large` */
export function readElicitRequest(value: unknown): ElicitRequest {
  const fields = new Map(
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : refuseRequest(),
  );
  const kind = ELICIT_KINDS.find((one) => one === fields.get('type'));
  if (kind === undefined) refuse('type', `expected one of ${ELICIT_KINDS.join(', ')}`);
  const key = fields.get('key');
  if (typeof key !== 'string') refuse('key', 'is missing or not text');
  checkText('key', key, LIMITS.keyBytesMax);
  return {
    kind,
    key,
    description: readText(fields, 'description'),
    options: readOptions(kind, fields.get('options')),
    fallback: readText(fields, 'default'),
  };
}

function readText(fields: ReadonlyMap<string, unknown>, field: string): string | null {
  const value = fields.get(field) ?? null;
  if (value === null) return null;
  if (typeof value !== 'string') refuse(field, 'is not text');
  checkText(field, value, LIMITS.elicitTextCharsMax);
  return value;
}

function readOptions(kind: ElicitKind, value: unknown): string[] {
  const list = value ?? [];
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string'))
    refuse('options', 'is not a list of texts');
  if (kind !== 'select') return [];
  if (list.length === 0) refuse('options', 'expected at least one option');
  if (list.length > LIMITS.elicitOptionsMax) throw tooLarge('options', `at most ${LIMITS.elicitOptionsMax} options`);
  for (const option of list) checkText('options', option, LIMITS.elicitTextCharsMax);
  return list;
}

/** An answer in the form its question takes. @throws Fault that never holds the answer */
export function checkAnswer(
  request: ElicitRequest,
  answer: Exclude<ElicitAnswer, { cancel: true }>,
): string | readonly string[] {
  if (request.kind === 'array') {
    if (!('values' in answer)) refuse('values', 'expected a list of texts');
    if (answer.values.length > LIMITS.elicitAnswerItemsMax)
      throw tooLarge('values', `at most ${LIMITS.elicitAnswerItemsMax} texts`);
    const bytes = answer.values.reduce((sum, one) => sum + Buffer.byteLength(one), 0);
    if (bytes > LIMITS.elicitAnswerBytesMax) throw tooLarge('values', `at most ${LIMITS.elicitAnswerBytesMax} bytes`);
    return answer.values;
  }
  if (!('value' in answer)) refuse('value', 'expected one text');
  const { value } = answer;
  if (Buffer.byteLength(value) > LIMITS.elicitAnswerBytesMax)
    throw tooLarge('value', `at most ${LIMITS.elicitAnswerBytesMax} bytes`);
  if (request.kind === 'select' && !request.options.includes(value)) refuse('value', 'is none of the options');
  if (request.kind === 'secret' && value === '') refuse('value', 'a secret must not be empty');
  return value;
}

/** The question as it travels: `elicit_request` of ABI reference 4.3. */
export function elicitPayload(id: string, capsule: string, request: ElicitRequest) {
  const { kind, key, description, options, fallback } = request;
  const types = { text: 'Text', secret: 'Secret', array: 'Array', select: { Enum: options } } as const;
  return {
    type: 'elicit_request',
    request_id: id,
    capsule_id: capsule,
    field: {
      key,
      prompt: description ?? key,
      ...(description === null ? {} : { description }),
      field_type: types[kind],
      // A default for a secret would be a secret on the bus.
      ...(fallback === null || kind === 'secret' ? {} : { default: fallback }),
    },
  };
}

function checkText(field: string, value: string, most: number): void {
  if (value.length > most) throw tooLarge(field, `at most ${most} characters`);
  if (/\p{Surrogate}|\0/u.test(value)) refuse(field, 'is not well-formed text');
}

function tooLarge(field: string, expected: string): Fault {
  return new Fault('too_large', `${field}: ${expected}`, { field });
}

function refuse(field: string, why: string): never {
  throw new Fault('invalid_argument', `${field}: ${why}`, { field });
}

function refuseRequest(): never {
  throw new Fault('invalid_argument', 'request: expected a JSON object', { field: 'request' });
}
