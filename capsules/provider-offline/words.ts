import type { ToolResult } from 'astrid/sdk/payload';
import type { Step } from './grammar.js';

/** Results in plain words. Nothing here may claim more than the result says. */
export interface StepResult {
  readonly step: Step;
  readonly result: ToolResult;
}

export const WHO_TEXT =
  "I am Astrid's built-in offline provider: a rule-based stand-in, not a language model. I match a small set of plain " +
  'requests, turn them into tool calls, and report what came back. Say "help" for what I understand; install a real ' +
  'provider for anything more.';

const UNDERSTOOD = [
  'list the files here, list the files in DIR',
  'read FILE, read lines 3 to 9 of FILE',
  'write "TEXT" to FILE, append "TEXT" to FILE',
  'replace "A" with "B" in FILE',
  'search for "X", search for "X" in DIR',
  'make directory DIR',
  'delete FILE',
  'move A to B',
  'use TOOL {"name": "value"}: any tool by its name, with its arguments as JSON',
];

export const HELP_TEXT = [
  'I am the built-in offline provider and understand these requests:',
  '',
  ...UNDERSTOOD.map((line) => `  ${line}`),
  '',
  'Join several with "then". Put text and names with spaces in quotes.',
].join('\n');

export function unknownText(part: string): string {
  const shown = part.length > 120 ? `${part.slice(0, 120)}…` : part;
  return [
    `I did nothing: I do not understand ${JSON.stringify(shown)}.`,
    '',
    'I am the built-in offline provider, a rule-based stand-in without a language model. I understand:',
    '',
    ...UNDERSTOOD.map((line) => `  ${line}`),
  ].join('\n');
}

export function badJsonText(part: string): string {
  const shown = part.length > 120 ? `${part.slice(0, 120)}…` : part;
  return `I did nothing: in ${JSON.stringify(shown)} the name of the tool is not followed by one JSON object, such as {"name": "value"}.`;
}

export function missingToolText(step: Step): string {
  return `I cannot ${step.label}: no capsule offers the tool ${step.tool}.`;
}

/** The answer after the last result: what each step gave, and which steps were not tried after a failure. */
export function describeResults(done: readonly StepResult[], rest: readonly Step[]): string {
  const parts = done.map(({ step, result }) =>
    result.is_error ? describeFailure(step, result) : describeSuccess(step, result),
  );
  const changed = done.some(({ step, result }) => !result.is_error && CHANGING.has(step.tool));
  if (changed)
    parts.push(
      'The change is in the overlay: `astrid diff` shows it, `astrid commit` keeps it, `astrid rollback` drops it.',
    );
  if (rest.length > 0)
    parts.push(`I stopped there and did not try to ${rest.map((step) => step.label).join(', nor to ')}.`);
  return parts.join('\n\n');
}

const CHANGING = new Set(['write_file', 'replace_in_file', 'create_directory', 'delete_file', 'move_file']);
const OWN = new Set([...CHANGING, 'read_file', 'list_directory', 'grep_search']);

function describeSuccess(step: Step, result: ToolResult): string {
  const content = unquote(result.content);
  switch (step.tool) {
    case 'list_directory': {
      const where = shownDirectory(step);
      if (content.endsWith(' is empty')) return `There is nothing in ${where}.`;
      return `These are the files in ${where}:\n\n${indent(content)}`;
    }
    case 'read_file':
      if (content === '') return `${String(step.args['file_path'])} is empty.`;
      return `This is in ${String(step.args['file_path'])}:\n\n${content}`;
    case 'grep_search':
      if (content.startsWith('No line contains')) return content;
      return `Found:\n\n${indent(content)}`;
    default:
      if (CHANGING.has(step.tool)) return `Done. ${content}.`;
      return content === '' ? `${step.tool} answered with nothing.` : `${step.tool} answered:\n\n${indent(content)}`;
  }
}

/** Codes of `abi/errno.ts` at the start of an error result, and what they mean to a person. */
const REFUSALS: Readonly<Record<string, string>> = {
  approval_denied: 'It was denied',
  approval_queued: 'It waits for your approval',
  policy_denied: 'A policy forbids it',
  capability_missing: 'The tool has no permission for it',
  over_budget: 'It would go over the budget',
};

function describeFailure(step: Step, result: ToolResult): string {
  const content = unquote(result.content);
  const [code = '', ...words] = content.split(': ');
  const refusal = REFUSALS[code];
  if (refusal === undefined) return `I could not ${step.label}: ${content}`;
  // A move is a copy and a removal; when only the removal was refused, something did change.
  const partly = content.includes(' was copied to ');
  // What somebody else's tool did before it failed is not known here.
  const nothing = OWN.has(step.tool) ? ' Nothing was changed.' : '';
  const effect = partly ? ` It was done in part: ${words.join(': ')}.` : nothing;
  const queued = code === 'approval_queued' ? ' See `astrid approvals` to answer it, then ask me again.' : '';
  const reason = partly || code.startsWith('approval_') || words.length === 0 ? '' : ` (${words.join(': ')})`;
  return `I was asked to ${step.label}. ${refusal}${reason}.${effect}${queued}`;
}

function shownDirectory(step: Step): string {
  const path = step.args['dir_path'];
  return typeof path === 'string' && path !== '' ? path : 'the workspace';
}

/** Tools of older SDKs send text as a JSON string (ABI reference 3.4). */
function unquote(content: string): string {
  if (!content.startsWith('"') || !content.endsWith('"')) return content;
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === 'string' ? value : content;
  } catch {
    return content;
  }
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}
