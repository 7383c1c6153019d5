import { parse, TomlError } from 'smol-toml';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { ManifestFindings } from './manifest-findings.js';
import { mergeManifest } from './manifest-merge.js';
import { type ManifestSections, SECTIONS, type SectionName, UNUSED_SECTIONS } from './manifest-schema.js';
import { TomlLines } from './toml-lines.js';

export const MANIFEST_BYTES_MAX = LIMITS.manifestBytesMax;
/** Of inline tables and lists; the format itself needs three. */
const NESTING_MAX = 32;

/**
 * Capsule.toml as the kernel reads it: both styles merged, deny by default, unknown keys in `warnings`.
 * @throws Fault `too_large` above 256 KiB; `bad_manifest` for the first problem in the file, with line, field path and
 * what was expected. With `abi = 3` in `[package]` an unknown key is a problem too.
 */
export function parseManifest(text: string): CapsuleManifest {
  const bytes = Buffer.byteLength(text);
  if (bytes > MANIFEST_BYTES_MAX) {
    throw new Fault('too_large', `Capsule.toml: ${bytes} bytes, at most ${MANIFEST_BYTES_MAX} are accepted`, {
      field: 'Capsule.toml',
    });
  }
  const document = parseToml(text);
  const findings = new ManifestFindings(new TomlLines(text));
  const sections = readSections(document, findings);
  if (sections === null) {
    findings.settle(false);
    throw new Fault('internal', 'Capsule.toml: a section was refused without a reason');
  }
  const merged = mergeManifest(sections, findings);
  const warnings = findings.settle(merged.abi === 3);
  return { ...merged, warnings };
}

function parseToml(text: string): Record<string, unknown> {
  try {
    return parse(text, { maxDepth: NESTING_MAX, unsafeKeyBehaviour: 'throw' });
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw new Fault('bad_manifest', 'Capsule.toml: not TOML', { cause: thrown });
    const reason = thrown.message.split('\n')[0]?.replace('Invalid TOML document: ', '') ?? 'not TOML';
    throw new Fault('bad_manifest', `Capsule.toml line ${thrown.line}, column ${thrown.column}: ${reason}`, {
      field: 'Capsule.toml',
    });
  }
}

/** Null when a section is wrong; then `findings` says why. */
function readSections(document: Record<string, unknown>, findings: ManifestFindings): ManifestSections | null {
  const known = [...Object.keys(SECTIONS), ...UNUSED_SECTIONS.keys()];
  for (const key of Object.keys(document)) {
    const unused = UNUSED_SECTIONS.get(key);
    if (unused !== undefined) findings.warn([key], unused);
    else if (key === 'abi') findings.problem([key], 'expected inside [package]; at the top level it has no effect');
    else if (!Object.hasOwn(SECTIONS, key)) findings.unknownKey([key], known);
  }
  const sections: Partial<Record<SectionName, unknown>> = {};
  let wrong = false;
  for (const name of Object.keys(SECTIONS) as SectionName[]) {
    const checked = findings.check(SECTIONS[name], document[name], [name]);
    if (checked !== undefined) sections[name] = checked;
    else if (name === 'package' || document[name] !== undefined) wrong = true;
  }
  return wrong ? null : (sections as ManifestSections);
}
