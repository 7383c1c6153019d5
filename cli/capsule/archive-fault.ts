import { Fault } from '../../abi/errno.js';
import { quotePrintable } from '../../abi/wasm/printable.js';

/**
 * Why an archive is refused, each with a stable name: the field of the Fault is `archive.<rule>`. The whole archive is
 * refused, also for an entry that nobody would have used: an archive that tries one trick is not looked at for others.
 */
export const ARCHIVE_RULES = {
  gzip: 'is not one whole gzip member',
  truncated: 'ends too early',
  trailing: 'goes on after its end',
  too_large: 'unpacks to more than is accepted',
  ratio: 'unpacks to far more than it holds',
  too_many: 'has too many entries',
  header: 'has a damaged header',
  long_name: 'names an entry a second way (pax or GNU long name), which readers disagree about',
  link: 'holds a link',
  device: 'holds a device',
  fifo: 'holds a fifo',
  type: 'holds an entry that is neither file nor directory',
  name: 'holds an entry with a name that is not accepted',
  absolute_path: 'holds an absolute path',
  parent_path: 'holds a path with ".."',
  backslash: 'holds a path with a backslash',
  control_character: 'holds a path with a control character',
  duplicate: 'holds the same path twice',
  case_clash: 'holds two paths that differ only in case',
  unicode_clash: 'holds two paths that differ only in their Unicode form',
  no_manifest: 'holds no Capsule.toml',
} as const;

export type ArchiveRule = keyof typeof ARCHIVE_RULES;

/** A Fault `bad_archive`; `what` is quoted, since it comes from the archive. */
export function archiveFault(rule: ArchiveRule, what?: string): Fault {
  const detail = what === undefined ? '' : `: ${quotePrintable(what)}`;
  return new Fault('bad_archive', `the archive ${ARCHIVE_RULES[rule]}${detail}`, { field: `archive.${rule}` });
}
