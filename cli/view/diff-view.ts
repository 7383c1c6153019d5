import type { CommitResult, DiffRow, RollbackResult } from '../../abi/control.js';
import { formatBytes, formatCount } from './human.js';
import { paint, type StyleName, type Terminal } from './terminal.js';

const KIND: Record<DiffRow['kind'], { readonly mark: string; readonly style: StyleName }> = {
  added: { mark: 'A', style: 'green' },
  modified: { mark: 'M', style: 'yellow' },
  deleted: { mark: 'D', style: 'red' },
  directory: { mark: 'd', style: 'dim' },
};

const LINE_STYLE: Readonly<Record<string, StyleName>> = { '+': 'green', '-': 'red', '@': 'cyan', '\\': 'dim' };

function printUnified(terminal: Terminal, unified: string): void {
  const lines = unified.endsWith('\n') ? unified.slice(0, -1).split('\n') : unified.split('\n');
  for (const line of lines) {
    const heading = line.startsWith('+++ ') || line.startsWith('--- ');
    // A tab stays a tab: in a file it is ordinary, and a unified diff has one line per line by construction.
    terminal.write(paint(heading ? 'dim' : (LINE_STYLE[line[0] ?? ''] ?? 'plain'), line), '\n');
  }
}

/** What the overlay holds and the workspace does not: a line per file, and under it what changed. */
export function printDiff(terminal: Terminal, rows: readonly DiffRow[]): void {
  if (rows.length === 0) {
    terminal.line(paint('dim', 'no change: the overlay equals the workspace'));
    return;
  }
  for (const row of rows) {
    const kind = KIND[row.kind] ?? { mark: '?', style: 'plain' };
    const size = row.kind === 'added' || row.kind === 'modified' ? paint('dim', `  ${formatBytes(row.bytes)}`) : '';
    terminal.line(paint(kind.style, `${kind.mark} `), paint('bold', row.path), size);
    if (row.unified !== null) printUnified(terminal, row.unified);
    else if (size !== '') terminal.line(paint('dim', '  (binary or large: not shown)'));
  }
}

/** What a commit wrote, and what it left because the workspace had changed meanwhile. */
export function printCommit(terminal: Terminal, result: CommitResult): void {
  for (const path of result.committed) terminal.line(paint('green', 'committed '), path);
  for (const path of result.conflicts) {
    terminal.line(
      paint('red', 'conflict  '),
      path,
      paint('dim', '  changed in the workspace meanwhile; left as it is'),
    );
  }
  if (result.committed.length + result.conflicts.length === 0) terminal.line(paint('dim', 'nothing to commit'));
  else terminal.line(paint('dim', `${formatCount(result.committed.length, 'path')} committed`));
}

export function printRollback(terminal: Terminal, result: RollbackResult): void {
  for (const path of result.rolledBack) terminal.line(paint('yellow', 'rolled back '), path);
  if (result.rolledBack.length === 0) terminal.line(paint('dim', 'nothing to roll back'));
}
