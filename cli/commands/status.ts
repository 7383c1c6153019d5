import type { StatusResult } from '../../abi/control.js';
import { EXIT } from '../../abi/errno.js';
import { type CommandRun, withClient } from '../context.js';
import { readRecord } from '../results.js';
import { formatAge, formatCount } from '../view/human.js';
import { type Part, paint, type Terminal } from '../view/terminal.js';
import { padEnd } from '../view/width.js';

const LABEL_COLUMNS = 12;

function printStatus(terminal: Terminal, status: StatusResult): void {
  const field = (label: string, ...value: readonly Part[]) =>
    terminal.line(paint('dim', padEnd(label, LABEL_COLUMNS)), ...value);
  const { capsules, auditor } = status;
  field('supervisor', `pid ${status.pid}, version ${status.version}, up ${formatAge(status.uptimeMs)}`);
  field('home', status.home);
  const failed = capsules.failed === 0 ? [] : [paint('red', `, ${capsules.failed} failed`)];
  field('capsules', `${capsules.ready} of ${capsules.total} ready`, ...failed);
  const auditorState = auditor.state === 'up' ? paint('green', 'up') : paint('red', 'down: sensitive calls are denied');
  field('auditor', auditorState, `, pid ${auditor.pid ?? '-'}, tree size ${auditor.treeSize}`);
  field('audit log', ...describeCheck(status.auditCheck));
  if (auditor.dropped > 0) {
    const dropped = formatCount(auditor.dropped, 'record');
    field('', paint('red', `NOT COMPLETE: ${dropped} not taken since the start`), '; var/supervisor.log says why');
  }
  field('sessions', String(status.sessions));
  field('clients', String(status.clients));
  const waiting = status.pendingApprovals > 0 ? paint('yellow', `${status.pendingApprovals} (astrid approvals)`) : '0';
  field('approvals', waiting);
  const total = status.boot.reduce((sum, step) => sum + step.ms, 0);
  const steps = status.boot.map((step) => `${step.step} ${formatAge(step.ms)}`).join(', ');
  field('boot', steps === '' ? '-' : `${formatAge(total)}: ${steps}`);
}

function describeCheck({ state, entries, message }: StatusResult['auditCheck']): readonly Part[] {
  if (state === 'ok')
    return [paint('green', 'verified'), `, ${formatCount(entries, 'entry', 'entries')} up to the last start`];
  if (state === 'running') return [paint('dim', 'is being verified')];
  return [paint('red', 'NOT VERIFIED'), `: ${message} (astrid audit verify)`];
}

/** `astrid status` */
export const runStatus: CommandRun = (context) =>
  withClient(context, async (client) => {
    const status = readRecord<StatusResult>(await client.request('status', {}), 'status');
    if (context.json) context.io.out.json(status);
    else printStatus(context.io.out, status);
    return EXIT.ok;
  });
