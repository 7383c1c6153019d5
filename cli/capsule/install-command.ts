import type { CapsuleRow } from '../../abi/capsule-control.js';
import { asFault, EXIT, exitCodeOf, Fault } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { type CommandArguments, type CommandContext, type CommandRun, connectOrStart } from '../context.js';
import { answerQuestions, type Presets, readPresets, unaskedPresets } from '../elicit-prompt.js';
import { readRows } from '../results.js';
import { printFault } from '../view/fault-view.js';
import { paint } from '../view/terminal.js';
import { type InstallOutcome, installWithConsent, planCapsule } from './consent.js';
import { type FetchedCapsule, fetchCapsule } from './fetch.js';

interface UpdateRow {
  readonly name: string;
  readonly action: 'updated' | 'unchanged' | 'failed';
  readonly version: string;
  readonly message: string;
}

function fetchFor(context: CommandContext, args: CommandArguments, source: string): Promise<FetchedCapsule> {
  const { env, cwd } = context.io;
  return fetchCapsule(source, { env, cwd, insecureLocal: args.flag('insecure-local') });
}

function printOutcome({ io }: CommandContext, { plan, result }: InstallOutcome): void {
  const verb = { install: 'installed', upgrade: 'upgraded', downgrade: 'downgraded', reinstall: 'reinstalled' }[
    plan.kind
  ];
  io.out.line(paint('green', verb), ` ${result.name} ${result.version}`);
  if (result.waits !== null) io.out.line(paint('yellow', `  it does not run yet: ${result.waits}`));
  if (result.startedToo.length > 0) io.out.line(`  started too: ${result.startedToo.join(', ')}`);
}

/** Said after the install: only its hook knows what it asks. The exit code tells a script that not all was done. */
function reportUnasked({ io }: CommandContext, { result }: InstallOutcome, presets: Presets): number {
  const unasked = unaskedPresets(presets);
  if (unasked.length === 0) return EXIT.ok;
  const way = `change settings with: astrid capsule config ${result.name} --set KEY=VALUE`;
  const message = `${result.name} is installed, and asked nothing that ${unasked.join(', ')} answers; ${way}`;
  printFault(io.err, new Fault('not_found', message));
  return EXIT.failed;
}

/** `astrid capsule install SOURCE` */
export const runCapsuleInstall: CommandRun = async (context, args) => {
  const presets = readPresets(args);
  const fetched = await fetchFor(context, args, args.requiredText('source'));
  const client = await connectOrStart(context);
  try {
    const outcome = await installWithConsent(client, fetched, {
      answering: (capsule, work) => answerQuestions(context, client, { capsule, presets }, work),
      io: context.io,
      json: context.json,
      yes: args.flag('yes'),
      allowDowngrade: args.flag('allow-downgrade'),
      quietWhenEqual: false,
    });
    if (context.json) context.io.out.json(outcome);
    else printOutcome(context, outcome);
    return reportUnasked(context, outcome, presets);
  } finally {
    client.close();
  }
};

async function updateOne(
  context: CommandContext,
  args: CommandArguments,
  client: ControlClient,
  row: CapsuleRow,
): Promise<UpdateRow> {
  const fetched = await fetchFor(context, args, row.source);
  const plan = await planCapsule(client, fetched, args.flag('allow-downgrade'));
  if (plan.name !== row.name) {
    throw new Fault('bad_manifest', `${row.source} holds ${plan.name} now, not ${row.name}`, { field: 'source' });
  }
  if (plan.kind === 'reinstall' && plan.consent.length === 0) {
    return { name: row.name, action: 'unchanged', version: row.version, message: '' };
  }
  const presets = readPresets(args);
  const { result } = await installWithConsent(client, fetched, {
    answering: (capsule, work) => answerQuestions(context, client, { capsule, presets }, work),
    io: context.io,
    json: context.json,
    yes: args.flag('yes'),
    allowDowngrade: args.flag('allow-downgrade'),
    quietWhenEqual: true,
  });
  return { name: row.name, action: 'updated', version: result.version, message: result.waits ?? '' };
}

/** `astrid capsule update [NAME]`: fetches again from where each came from. One that fails stops no other. */
export const runCapsuleUpdate: CommandRun = async (context, args) => {
  const { io, json } = context;
  const client = await connectOrStart(context);
  try {
    const name = args.text('name');
    const rows = readRows<CapsuleRow>(await client.request('capsule.list', {}), 'capsule.list');
    const chosen = rows.filter((row) =>
      name === undefined ? !row.builtin && row.state !== 'damaged' : row.name === name,
    );
    if (name !== undefined && chosen.length === 0) throw new Fault('not_found', `no capsule ${name} is installed`);
    if (chosen[0]?.builtin === true) throw new Fault('not_supported', `${chosen[0].name} is updated with the system`);
    const done: UpdateRow[] = [];
    let worst: number = EXIT.ok;
    for (const row of chosen) {
      try {
        done.push(await updateOne(context, args, client, row));
      } catch (thrown) {
        const fault = asFault(thrown);
        if (!json) printFault(io.err, fault);
        worst = exitCodeOf(fault.code);
        done.push({ name: row.name, action: 'failed', version: row.version, message: fault.message });
      }
    }
    if (json) io.out.json(done);
    else if (done.length === 0) io.out.line(paint('dim', 'there is no capsule to update'));
    else
      for (const row of done)
        io.out.line(`${row.name} ${row.version} `, paint(row.action === 'failed' ? 'red' : 'green', row.action));
    return worst;
  } finally {
    client.close();
  }
};
