import type { CapsuleFacts, CapsulePlan, Danger, ImportFact, InspectResult } from '../../abi/capsule-control.js';
import { WASM_PAGE_BYTES } from '../../abi/limits.js';
import { formatBytes, formatCount } from '../view/human.js';
import { type Part, paint, type StyleName, type Terminal } from '../view/terminal.js';

const DANGER_STYLE: Record<Danger, StyleName> = { high: 'red', medium: 'yellow', low: 'plain' };
const LABEL_CHARS = 13;
const MS_PER_SECOND = 1000;

type Line = readonly Part[];

/** Padding in an author's text could make its wrapped lines look like lines of ours: it is written out. */
const PADDING = /[\s\u2800]{3,}/gu;

function unpad(text: string): string {
  return text.replace(PADDING, (run) => `\\u{${run.codePointAt(0)!.toString(16)}}×${run.length}`);
}

function labelled(label: string, ...parts: readonly Part[]): Line {
  const tight = parts.map((part) => (typeof part === 'string' ? unpad(part) : paint(part.style, unpad(part.text))));
  return [paint('dim', `  ${label.padEnd(LABEL_CHARS)}`), ...tight];
}

/** One line per entry, the label on the first. Nothing is cut: what scrolls away can be scrolled back to. */
function list(label: string, entries: readonly Line[]): Line[] {
  return entries.map((entry, index) => labelled(index === 0 ? label : '', ...entry));
}

/** Everything that is decided upon, most harmful first. A Terminal writes hidden characters out. */
function layOutFacts(facts: CapsuleFacts): Line[] {
  const { generation, tier, limits, hash } = facts;
  return [
    ...(facts.description === null ? [] : [labelled('', facts.description)]),
    labelled('source', facts.source),
    labelled('module', hash === null ? 'none' : `${hash} (BLAKE3), ${formatBytes(facts.moduleBytes)}`),
    labelled('manifest', `${facts.manifestHash} (BLAKE3)`),
    ...(generation === null ? [] : [labelled('generation', `${generation.generation}: ${generation.why}`)]),
    labelled('tier', paint(tier.tier === 'jail' ? 'green' : 'red', tier.tier ?? 'none'), `: ${tier.why}`),
    ...layOutCapabilities(facts),
    ...list(
      'publishes on',
      facts.publish.map((entry) => [entry]),
    ),
    ...list(
      'hears',
      facts.subscribe.map((entry) => [entry]),
    ),
    ...list('intercepts', facts.interceptors.map(describeInterceptor)),
    ...list(
      'commands',
      facts.commands.map(({ name, description }) => [`/${name}`, describeMore(description)]),
    ),
    ...list(
      'tools',
      facts.tools.map(({ name, description }) => [paint('yellow', name), describeMore(description)]),
    ),
    ...list(
      'uplinks',
      facts.uplinks.map(({ name, platform, profile }) => [`${name}: ${platform}, ${profile}`]),
    ),
    ...list('asks for', facts.env.map(describeEnv)),
    ...list('runs', listRuns(facts)),
    ...list('host calls', facts.hostCalls.length === 0 ? [] : [[facts.hostCalls.join(', ')]]),
    ...list('imports', facts.imports.map(describeImport)),
    ...list(
      'exports',
      facts.exports.map(({ namespace, name, version }) => [`${namespace}:${name} ${version}`]),
    ),
    labelled(
      'limits',
      `${formatBytes(limits.memoryPages * WASM_PAGE_BYTES)} memory, ${limits.wallMs / MS_PER_SECOND} s a call`,
    ),
    ...list(
      'warnings',
      facts.warnings.map(({ line, path, message }) => [paint('yellow', `line ${line}: ${path}: ${message}`)]),
    ),
  ];
}

function layOutCapabilities({ capabilities }: CapsuleFacts): Line[] {
  const entries = capabilities.flatMap(({ name, danger, may, entries: patterns }): Line[] => {
    const style = DANGER_STYLE[danger];
    const head: Line = [
      paint(style, `${may} ${patterns.length === 0 ? '' : patterns.join(', ')}`.trim()),
      paint('dim', `  (${name})`),
    ];
    return [head];
  });
  return entries.length === 0 ? [labelled('may', 'nothing beyond its topics')] : list('may', entries);
}

function describeInterceptor({ event, action, priority, fail }: CapsuleFacts['interceptors'][number]): Line {
  const closed = fail === 'closed' ? [paint('yellow', ', denies when it fails')] : [];
  return [`${event} with ${action}, priority ${priority}`, ...closed];
}

function describeEnv({ name, type, description }: CapsuleFacts['env'][number]): Line {
  return [paint(type === 'secret' ? 'red' : 'plain', `${name} (${type})`), describeMore(description)];
}

function describeMore(text: string | null): Part {
  return text === null ? '' : paint('dim', `  ${text}`);
}

function listRuns(facts: CapsuleFacts): Line[] {
  const hooks = facts.hooks.map((hook): Line => [`code ${hook === 'cron' ? 'at set times' : `at ${hook}`}`]);
  return [...hooks, ...(facts.hasRunLoop ? [['all the time (a run loop)']] : []), ...[[`restart ${facts.restart}`]]];
}

export function describeImport({ namespace, name, range, optional, met, providers }: ImportFact): Line {
  const what = `${namespace}:${name} ${range}${optional ? ' (optional)' : ''}`;
  if (!met) return [what, paint(optional ? 'yellow' : 'red', '  not met: no capsule exports it')];
  const [first, ...others] = providers.map(({ capsule, version }) => `${capsule} ${version}`);
  const more = others.length === 0 ? [] : [paint('yellow', `  also ${others.join(', ')}: all of them hear its topics`)];
  return [what, paint('green', `  ${first ?? ''}`), ...more];
}

/** The whole plan: what it is, what changes, why it asks. */
export function printPlan(terminal: Terminal, plan: CapsulePlan): void {
  const { name, version, kind, previous, changes, consent, refusal, startsToo } = plan;
  const from = previous === null || kind === 'reinstall' ? '' : ` (installed: ${previous.version})`;
  terminal.line(paint('bold', `${kind} ${name} ${version}`), from);
  for (const line of layOutFacts(plan)) terminal.line(...line);
  for (const { change, what, entry, danger } of changes) {
    const added = change === 'added';
    terminal.line(paint(added ? DANGER_STYLE[danger] : 'green', unpad(`  ${added ? '+' : '-'} ${what} ${entry}`)));
  }
  if (previous !== null && previous.source !== plan.source)
    terminal.line(paint('yellow', `  was from ${previous.source}`));
  if (startsToo.length > 0) terminal.line(`  starts too: ${startsToo.join(', ')}`);
  for (const reason of consent) terminal.line(paint('yellow', `  ${reason}`));
  if (refusal !== null) terminal.line(paint('red', `  refused: ${refusal.message}`));
}

/** `astrid capsule inspect` of something installed or of something that could be. */
export function printInspection(terminal: Terminal, facts: CapsuleFacts, standing: InspectResult | null): void {
  terminal.line(
    paint('bold', `${facts.name} ${facts.version}`),
    standing === null ? '  (not installed)' : `  ${standing.state}`,
  );
  if (standing !== null && standing.problem !== '') terminal.line(paint('yellow', `  ${standing.problem}`));
  for (const line of layOutFacts(facts)) terminal.line(...line);
  if (standing !== null)
    terminal.line(...labelled('installed', `${standing.installedAt}, last change ${standing.updatedAt}`));
  terminal.line(...labelled('manifest', `style ${facts.style}: ${formatCount(facts.origins.length, 'declaration')}`));
  for (const { what, entry, from } of facts.origins) {
    terminal.line(`    ${what} ${entry}`, paint('dim', `  from ${from.join(' and ')}`));
  }
}
