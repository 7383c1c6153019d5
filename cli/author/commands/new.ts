import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, Fault } from '../../../abi/errno.js';
import type { CommandRun } from '../../context.js';
import { findPackageRoot } from '../../package-root.js';
import { paint } from '../../view/terminal.js';
import { createCapsule, TEMPLATES } from '../new-capsule.js';

/** `astrid capsule new NAME [--template T]` */
export const runCapsuleNew: CommandRun = async (context, args) => {
  const { io } = context;
  const name = args.requiredText('name');
  const wanted = args.text('template') ?? 'tool';
  const template = TEMPLATES.find((known) => known === wanted);
  if (template === undefined) {
    throw new Fault('invalid_argument', `--template: expected one of ${TEMPLATES.join(', ')}`, { field: 'template' });
  }
  const parent = await realpath(io.cwd);
  const packageRoot = findPackageRoot(fileURLToPath(import.meta.url));
  const files = await createCapsule({ parent, name, template, packageRoot });
  if (context.json) {
    io.out.json({ name, template, directory: join(parent, name), files });
    return EXIT.ok;
  }
  io.out.line(`made ${name}/ from the template ${template}:`);
  for (const file of files) io.out.line(paint('dim', `  ${file}`));
  io.out.line(`next: cd ${name} && astrid capsule test`);
  return EXIT.ok;
};
